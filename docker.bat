@echo off
rem Runs every daily command with Docker: docker.bat VERB. Keep in step with docker.sh (a test compares them).
setlocal
set "VERB=%~1"
set "FIRST=%~2"
set "FILE=%~f2"
set "NAME=%~nx2"
set "REST="
for /f "tokens=1,*" %%a in ("%*") do set REST=%%b
if not defined PORT set "PORT=5000"
cd /d "%~dp0"
rem docker.exe, not docker: in this folder the bare name would be this very script.
set "COMPOSE=docker.exe compose"
docker.exe compose version >nul 2>&1 || set "COMPOSE=docker-compose.exe"
set "CODE=0"

if "%VERB%"=="" goto help
for %%v in (up start stop restart test test-verbose test-debug build clean fresh shell init-db logs graphql key demo help) do if "%VERB%"=="%%v" goto %%v
if "%VERB%"=="-h" goto help
if "%VERB%"=="--help" goto help
echo docker.bat: there is no verb '%VERB%'; without a verb, docker.bat prints all of them 1>&2
exit /b 2

:up
docker.exe build --tag afterwrite . || exit /b 1
%COMPOSE% up --detach || exit /b 1
call :wait_ready || exit /b 1
exit /b 0

:start
%COMPOSE% up --detach || exit /b 1
call :wait_ready || exit /b 1
exit /b 0

:stop
%COMPOSE% stop || exit /b 1
exit /b 0

:restart
%COMPOSE% stop || exit /b 1
%COMPOSE% up --detach || exit /b 1
call :wait_ready || exit /b 1
exit /b 0

:test
%COMPOSE% up --detach || exit /b 1
call :wait_ready || exit /b 1
%COMPOSE% exec -T --env API_KEY app python integration_test.py %REST% || exit /b 1
exit /b 0

:test-verbose
%COMPOSE% up --detach || exit /b 1
call :wait_ready || exit /b 1
%COMPOSE% exec -T --env API_KEY app python integration_test.py --verbose %REST% || exit /b 1
exit /b 0

:test-debug
%COMPOSE% up --detach || exit /b 1
call :wait_ready || exit /b 1
%COMPOSE% exec -T --env API_KEY app python integration_test.py --debug %REST% || exit /b 1
exit /b 0

:build
docker.exe build --tag afterwrite %REST% . || exit /b 1
exit /b 0

:clean
call :confirm || exit /b 1
%COMPOSE% down --volumes --rmi all --remove-orphans || exit /b 1
exit /b 0

:fresh
call :confirm || exit /b 1
%COMPOSE% down --volumes --rmi all --remove-orphans || exit /b 1
docker.exe build --tag afterwrite . || exit /b 1
%COMPOSE% up --detach || exit /b 1
call :wait_ready || exit /b 1
exit /b 0

:shell
%COMPOSE% exec app sh || exit /b 1
exit /b 0

:init-db
rem Whether the load succeeds or not, the server is started again.
if not "%FIRST%"=="" goto init-db-file
%COMPOSE% stop || exit /b 1
%COMPOSE% run --rm --no-deps -T app python init_db.py || set "CODE=1"
goto init-db-start
:init-db-file
call :require_file || exit /b 1
%COMPOSE% stop || exit /b 1
%COMPOSE% run --rm --no-deps -T --volume "%FILE%:/input/%NAME%:ro" app python init_db.py "/input/%NAME%" || set "CODE=1"
:init-db-start
%COMPOSE% up --detach || exit /b 1
call :wait_ready || exit /b 1
exit /b %CODE%

:logs
%COMPOSE% logs --follow --tail 50 || exit /b 1
exit /b 0

:graphql
if not "%FIRST%"=="" goto graphql-document
echo http://127.0.0.1:%PORT%/graphql
exit /b 0
:graphql-document
%COMPOSE% exec -T --env API_KEY app python -m devkit.ask %REST% || exit /b 1
exit /b 0

:key
rem Not in the running container: a server without keys may refuse to start.
%COMPOSE% run --rm --no-deps -T app python -m devkit.keys %REST% || exit /b 1
exit /b 0

:demo
docker.exe build --tag afterwrite . || exit /b 1
%COMPOSE% up --detach || exit /b 1
call :wait_ready || exit /b 1
%COMPOSE% exec -T --env API_KEY app python integration_test.py --verbose || set "CODE=1"
%COMPOSE% exec -T --env API_KEY app python -m devkit.task_demo || set "CODE=1"
echo The server keeps running; docker.bat stop ends it
exit /b %CODE%

:wait_ready
%COMPOSE% exec -T app python -m devkit.health --wait 60 || exit /b 1
echo Ready: http://127.0.0.1:%PORT% (GraphiQL: http://127.0.0.1:%PORT%/graphql)
exit /b 0

:require_file
if exist "%FILE%" exit /b 0
echo docker.bat: there is no file %FILE% 1>&2
exit /b 1

:confirm
if "%FIRST%"=="--yes" exit /b 0
set "ANSWER=no"
set /p "ANSWER=Remove the container, the image and the volume with every product? [y/N] "
if "%ANSWER%"=="y" exit /b 0
echo Nothing was removed (add --yes where nobody can be asked)
exit /b 1

:help
echo usage: docker.bat VERB [ARGUMENT...]
echo.
echo   up                    build the image, start the server, wait until it is ready
echo   start                 start the server, wait until it is ready
echo   stop                  stop the server; running tasks end, what waits is applied, for 30 s at most
echo   restart               stop, then start
echo   test                  test over HTTP, one line a test
echo   test-verbose          the same, showing each request and response
echo   test-debug            the same, and the end of the server's log
echo   build [ARGUMENT...]   build the image; arguments go to docker build
echo   clean [--yes]         remove container, image and volume, every product included
echo   fresh [--yes]         clean, then up
echo   shell                 open a shell in the running container
echo   init-db [FILE]        load the sample catalogue or a JSON, JSONL or CSV file
echo   logs                  last 50 lines of the log, then what follows
echo   graphql [DOCUMENT]    send a document; without one, print the address of GraphiQL
echo   key ...               make, list or remove keys: key add NAME --role ROLE, key list, key remove NAME
echo   demo                  up, test with full output, run tasks and show them, keep the server running
echo.
echo These are read from the environment: PORT (5000), SERVER, THREADS, LOG_LEVEL, LOG_FORMAT, JOURNAL_SYNC,
echo INTROSPECTION, STRIPE_SECRET_KEY, STRIPE_API_BASE, WEBHOOK_SECRET, WEBHOOK_ALLOW_PRIVATE, STAGE_SECONDS,
echo TASK_LOCK_SECONDS, TASK_RETENTION_DAYS, PUBLISHED_HOST (127.0.0.1), API_KEYS, ALLOW_ANONYMOUS, SESSION_HOURS,
echo PROXIES, RATE_LIMIT; and API_KEY, the key that the commands themselves show to the server.
exit /b 0
