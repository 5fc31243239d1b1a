"""The black-box tests that integration_test.py runs, by subject; standard library only."""
