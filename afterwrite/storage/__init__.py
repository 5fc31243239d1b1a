"""All SQL for products, the journal and the ledger; the SQL of tasks is in the task store."""
