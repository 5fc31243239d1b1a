@echo off
rem Everyday commands with Docker: docker.bat VERB. Keep in sync with docker.sh (a test compares them).
setlocal
set "VERB=%~1"
set "FIRST=%~2"
set "FILE=%~f2"
set "NAME=%~nx2"
set "REST="
for /f "tokens=1,*" %%a in ("%*") do set REST=%%b
set "PROFILE="
set "SERVICE=app"
if not "%FIRST%"=="--profile" goto arguments-read
if not "%~3"=="scale" if not "%~3"=="stack" goto profile-unknown
set "PROFILE=%~3"
set "SERVICE=api"
if "%PROFILE%"=="stack" set "SERVICE=stack-api"
set "FIRST=%~4"
set "FILE=%~f4"
set "NAME=%~nx4"
set "REST="
for /f "tokens=1-3,*" %%a in ("%*") do set REST=%%d
:arguments-read
cd /d "%~dp0"
rem PORT as Compose resolves it: from the environment, then from .env.
set "SHOWN_PORT=%PORT%"
if not defined SHOWN_PORT if exist .env for /f "tokens=2 delims==" %%p in ('findstr /b /r "PORT=[0-9]" .env') do set "SHOWN_PORT=%%p"
if not defined SHOWN_PORT set "SHOWN_PORT=5000"
rem docker.exe, not docker: in this folder the bare name is this script.
set "COMPOSE=docker.exe compose"
docker.exe compose version >nul 2>&1 || set "COMPOSE=docker-compose.exe"
set "CODE=0"
if defined PROFILE set "COMPOSE=%COMPOSE% --profile %PROFILE%"
rem Runs a command in a container that reaches the server at 127.0.0.1:5000.
set "IN_SERVER=%COMPOSE% exec -T --env API_KEY %SERVICE%"
if "%PROFILE%"=="scale" set "IN_SERVER=%COMPOSE% run --rm --no-deps -T client"

if "%VERB%"=="" goto help
for %%v in (up start stop restart test test-verbose test-debug build clean fresh shell init-db logs graphql key migrate-to-postgres demo help) do if "%VERB%"=="%%v" goto %%v
if "%VERB%"=="-h" goto help
if "%VERB%"=="--help" goto help
echo docker.bat: there is no verb '%VERB%'; run docker.bat without arguments for a list 1>&2
exit /b 2

:profile-unknown
echo docker.bat: there is no profile '%~3'; use scale or stack 1>&2
exit /b 2

:up
call :build_images || exit /b 1
call :start_services || exit /b 1
call :wait_ready || exit /b 1
exit /b 0

:start
call :start_services || exit /b 1
call :wait_ready || exit /b 1
exit /b 0

:stop
%COMPOSE% --profile scale --profile stack stop || exit /b 1
exit /b 0

:restart
%COMPOSE% --profile scale --profile stack stop || exit /b 1
call :start_services || exit /b 1
call :wait_ready || exit /b 1
exit /b 0

:test
call :start_services || exit /b 1
call :wait_ready || exit /b 1
%IN_SERVER% python integration_test.py %REST% || exit /b 1
exit /b 0

:test-verbose
call :start_services || exit /b 1
call :wait_ready || exit /b 1
%IN_SERVER% python integration_test.py --verbose %REST% || exit /b 1
exit /b 0

:test-debug
call :start_services || exit /b 1
call :wait_ready || exit /b 1
if defined PROFILE goto test-debug-profile
%IN_SERVER% python integration_test.py --debug %REST% || exit /b 1
exit /b 0
:test-debug-profile
%IN_SERVER% python integration_test.py --verbose %REST% || set "CODE=1"
%COMPOSE% logs --tail 50 || exit /b 1
exit /b %CODE%

:build
docker.exe build --tag afterwrite %REST% . || exit /b 1
exit /b 0

:clean
call :confirm || exit /b 1
%COMPOSE% --profile scale --profile stack down --volumes --rmi all --remove-orphans || exit /b 1
exit /b 0

:fresh
call :confirm || exit /b 1
%COMPOSE% --profile scale --profile stack down --volumes --rmi all --remove-orphans || exit /b 1
call :build_images || exit /b 1
call :start_services || exit /b 1
call :wait_ready || exit /b 1
exit /b 0

:shell
%COMPOSE% exec %SERVICE% sh || exit /b 1
exit /b 0

:init-db
rem The server runs afterwards even if the load fails.
if "%FIRST%"=="" goto init-db-no-file
if not "%FIRST:~0,1%"=="-" goto init-db-file
:init-db-no-file
call :make_way || exit /b 1
%COMPOSE% run --rm --no-deps -T %SERVICE% python init_db.py %REST% || set "CODE=1"
goto init-db-start
:init-db-file
call :require_file || exit /b 1
rem Collect the arguments after the file, whose name may contain spaces.
if defined PROFILE shift /3
if defined PROFILE shift /3
set "OPTIONS="
:init-db-options
if "%~3"=="" goto init-db-load
set OPTIONS=%OPTIONS% %3
shift /3
goto init-db-options
:init-db-load
%COMPOSE% run --rm --no-deps -T --volume "%FILE%:/input/%NAME%:ro" %SERVICE% python init_db.py --check "/input/%NAME%" %OPTIONS% || exit /b 1
call :make_way || exit /b 1
%COMPOSE% run --rm --no-deps -T --volume "%FILE%:/input/%NAME%:ro" %SERVICE% python init_db.py "/input/%NAME%" %OPTIONS% || set "CODE=1"
:init-db-start
call :start_services || exit /b 1
call :wait_ready || exit /b 1
exit /b %CODE%

:logs
%COMPOSE% logs --follow --tail 50 || exit /b 1
exit /b 0

:graphql
if not "%FIRST%"=="" goto graphql-document
echo http://127.0.0.1:%SHOWN_PORT%/graphql
exit /b 0
:graphql-document
%IN_SERVER% python -m devkit.ask %REST% || exit /b 1
exit /b 0

:key
rem In a new container: a server without keys may refuse to start.
%COMPOSE% run --rm --no-deps -T %SERVICE% python -m afterwrite key %REST% || exit /b 1
exit /b 0

:migrate-to-postgres
call :keep_passwords || exit /b 1
call :build_images || exit /b 1
%COMPOSE% --profile scale --profile stack stop || exit /b 1
%COMPOSE% --profile scale run --rm -T api python -m afterwrite migrate-to-postgres %REST% || exit /b 1
exit /b 0

:demo
call :build_images || exit /b 1
call :start_services || exit /b 1
call :wait_ready || exit /b 1
%IN_SERVER% python integration_test.py --verbose || set "CODE=1"
%IN_SERVER% python -m devkit.task_demo || set "CODE=1"
if defined PROFILE echo The server keeps running; stop it with docker.bat stop --profile %PROFILE%
if not defined PROFILE echo The server keeps running; stop it with docker.bat stop
exit /b %CODE%

rem Names the services of a profile, because Compose would start `app` as well.
:start_services
if defined PROFILE goto start_services_of_profile
%COMPOSE% up --detach || exit /b 1
exit /b 0
:start_services_of_profile
call :keep_passwords || exit /b 1
if "%PROFILE%"=="stack" goto start_services_of_stack
%COMPOSE% up --detach nginx worker || exit /b 1
exit /b 0
:start_services_of_stack
%COMPOSE% up --detach stack-api stack-worker consumer notification airflow-scheduler airflow-dag-processor || exit /b 1
exit /b 0

:build_images
docker.exe build --tag afterwrite . || exit /b 1
if not "%PROFILE%"=="stack" exit /b 0
docker.exe build --tag afterwrite-airflow --file Dockerfile.airflow . || exit /b 1
exit /b 0

rem Secrets shared by the profile's services: given, or generated once and stored in .env.
:keep_passwords
call :keep_password POSTGRES_PASSWORD || exit /b 1
if not "%PROFILE%"=="stack" exit /b 0
call :keep_password RABBITMQ_PASSWORD || exit /b 1
call :keep_password REDIS_PASSWORD || exit /b 1
call :keep_password AIRFLOW_PASSWORD || exit /b 1
call :keep_password AIRFLOW_ADMIN_PASSWORD || exit /b 1
call :keep_password AIRFLOW_DATABASE_PASSWORD || exit /b 1
call :keep_password AIRFLOW_SECRET_KEY || exit /b 1
call :keep_password AIRFLOW_JWT_SECRET || exit /b 1
call :keep_password AIRFLOW_FERNET_KEY || exit /b 1
exit /b 0

:keep_password
if defined %1 exit /b 0
findstr /r "^%1=." .env >nul 2>&1 && exit /b 0
set "FORM=[BitConverter]::ToString($bytes).Replace('-', '').ToLower()"
rem Fernet's format.
if "%1"=="AIRFLOW_FERNET_KEY" set "FORM=[Convert]::ToBase64String($bytes).Replace('+', '-').Replace('/', '_')"
set "MAKE=$bytes = New-Object byte[] 32; [Security.Cryptography.RandomNumberGenerator]::Create().GetBytes($bytes);"
set "MAKE=%MAKE% $password = %FORM%;"
set "MAKE=%MAKE% Add-Content -Encoding ascii -Path .env -Value '', ('%1=' + $password)"
powershell.exe -NoProfile -Command "%MAKE%" || exit /b 1
echo Made %1 and stored it in .env: keep it as long as the volumes
exit /b 0

rem SQLite files have a single owner, so the server must stop for a load; PostgreSQL must run.
:make_way
if defined PROFILE goto make_way_of_profile
%COMPOSE% stop || exit /b 1
exit /b 0
:make_way_of_profile
call :start_services || exit /b 1
exit /b 0

:wait_ready
if "%PROFILE%"=="stack" goto wait_ready_of_stack
if not defined PROFILE goto wait_ready_at_last
%COMPOSE% exec -T api python -m devkit.health --wait 60 || exit /b 1
goto wait_ready_at_last
:wait_ready_of_stack
%COMPOSE% exec -T stack-worker python -m devkit.health --wait 60 || exit /b 1
%COMPOSE% exec -T consumer python -m devkit.health --wait 60 || exit /b 1
%COMPOSE% exec -T notification python -m devkit.health --wait 60 || exit /b 1
%COMPOSE% exec -T consumer python -m devkit.airflow_ready --wait 120 || exit /b 1
:wait_ready_at_last
%IN_SERVER% python -m devkit.health --wait 60 || exit /b 1
echo Ready: http://127.0.0.1:%SHOWN_PORT% (GraphiQL: http://127.0.0.1:%SHOWN_PORT%/graphql)
exit /b 0

:require_file
if exist "%FILE%" exit /b 0
echo docker.bat: there is no file %FILE% 1>&2
exit /b 1

:confirm
if "%FIRST%"=="--yes" exit /b 0
set "ANSWER=no"
set /p "ANSWER=Remove the containers, images and volumes, including all products? [y/N] "
if "%ANSWER%"=="y" exit /b 0
echo Nothing was removed; add --yes to skip this question
exit /b 1

:help
echo usage: docker.bat VERB [--profile PROFILE] [ARGUMENT...]
echo.
echo   up                    build the images, start the server, wait until it is ready
echo   start                 start the server, wait until it is ready
echo   stop                  stop the server; running tasks finish and queued writes are applied, within 30 s
echo   restart               stop, then start
echo   test                  test over HTTP, one line per test
echo   test-verbose          the same, with each request and response
echo   test-debug            the same, with the end of the server's log
echo   build [ARGUMENT...]   build the server's image; arguments go to docker build
echo   clean [--yes]         remove containers, images and volumes of every profile, including all products
echo   fresh [--yes]         clean, then up
echo   shell                 open a shell in the running container
echo   init-db [FILE] ...    load the sample catalogue or a JSON, JSONL or CSV file; options go to init_db.py
echo   logs                  print the last 50 lines of the log and follow it
echo   graphql [DOCUMENT]    send a document; without one, print the address of GraphiQL
echo   key ...               manage API keys: key add NAME --role ROLE, key list, key remove NAME
echo   migrate-to-postgres   stop the single server and copy its data into the empty PostgreSQL of --profile scale
echo   demo                  up, test with full output, run tasks and show their progress, keep the server running
echo.
echo --profile scale runs PostgreSQL, two API containers behind nginx and two worker containers. --profile stack runs jobs in
echo Airflow: PostgreSQL, an API container, a worker container, RabbitMQ, Redis, Airflow, consumer and notification
echo (docs/operations.md). Run one of the three at a time. They share the API keys; the two profiles also share their
echo products, which the single server does not.
echo.
echo Settings come from the environment and from .env in this folder (.env.example lists them all): PORT (5000),
echo PUBLISHED_HOST (127.0.0.1), those under x-settings in docker-compose.yml, and for the stack QUEUE_MAX_MESSAGES,
echo CALLBACK_HOURS, AIRFLOW_PARALLELISM (8), AIRFLOW_PORT (8080), AIRFLOW_PUBLIC_URL (http://127.0.0.1:8080) and
echo RABBITMQ_PORT (15672). API_KEY, the key that the commands send to the server, is read from the environment only.
echo POSTGRES_PASSWORD, and for the stack RABBITMQ_PASSWORD, REDIS_PASSWORD, AIRFLOW_PASSWORD, AIRFLOW_ADMIN_PASSWORD,
echo AIRFLOW_DATABASE_PASSWORD, AIRFLOW_SECRET_KEY, AIRFLOW_JWT_SECRET and AIRFLOW_FERNET_KEY are generated and stored in
echo .env unless given.
exit /b 0
