#!/bin/sh
# Everyday commands with Docker: ./docker.sh VERB. Keep in sync with docker.bat (a test compares them).
set -eu
caller=$PWD
cd "$(dirname "$0")"

help() {
    cat <<'END'
usage: docker.sh VERB [--profile PROFILE] [ARGUMENT...]

  up                    build the images, start the server, wait until it is ready
  start                 start the server, wait until it is ready
  stop                  stop the server; running tasks finish and queued writes are applied, within 30 s
  restart               stop, then start
  test                  test over HTTP, one line per test
  test-verbose          the same, with each request and response
  test-debug            the same, with the end of the server's log
  build [ARGUMENT...]   build the server's image; arguments go to docker build
  clean [--yes]         remove containers, images and volumes of every profile, including all products
  fresh [--yes]         clean, then up
  shell                 open a shell in the running container
  init-db [FILE] ...    load the sample catalogue or a JSON, JSONL or CSV file; options go to init_db.py
  logs                  print the last 50 lines of the log and follow it
  graphql [DOCUMENT]    send a document; without one, print the address of GraphiQL
  key ...               manage API keys: key add NAME --role ROLE, key list, key remove NAME
  migrate-to-postgres   stop the single server and copy its data into the empty PostgreSQL of --profile scale
  demo                  up, test with full output, run tasks and show their progress, keep the server running

--profile scale runs PostgreSQL, two API containers behind nginx and two worker containers. --profile stack runs jobs in
Airflow: PostgreSQL, an API container, a worker container, RabbitMQ, Redis, Airflow, consumer and notification
(docs/operations.md). Run one of the three at a time. They share the API keys; the two profiles also share their
products, which the single server does not.

Settings come from the environment and from .env in this folder (.env.example lists them all): PORT (5000),
PUBLISHED_HOST (127.0.0.1), those under x-settings in docker-compose.yml, and for the stack QUEUE_MAX_MESSAGES,
CALLBACK_HOURS, AIRFLOW_PARALLELISM (8), AIRFLOW_PORT (8080), AIRFLOW_PUBLIC_URL (http://127.0.0.1:8080) and
RABBITMQ_PORT (15672). API_KEY, the key that the commands send to the server, is read from the environment only.
POSTGRES_PASSWORD, and for the stack RABBITMQ_PASSWORD, REDIS_PASSWORD, AIRFLOW_PASSWORD, AIRFLOW_ADMIN_PASSWORD,
AIRFLOW_DATABASE_PASSWORD, AIRFLOW_SECRET_KEY, AIRFLOW_JWT_SECRET and AIRFLOW_FERNET_KEY are generated and stored in
.env unless given.
END
}

compose() {
    if docker compose version >/dev/null 2>&1; then
        docker compose ${profile:+--profile "$profile"} "$@"
    else
        docker-compose ${profile:+--profile "$profile"} "$@"
    fi
}

# PORT as Compose resolves it: from the environment, then from .env.
port() {
    in_file=$(sed -n "s/^ *\(export  *\)\{0,1\}PORT *= *[\"']\{0,1\}\([0-9]*\).*/\2/p" .env 2>/dev/null | tail -n 1)
    given=${PORT-$in_file}
    echo "${given:-5000}"
}

# Compose silently ignores a misspelt name in .env.
check_names() {
    sed -n 's/^ *\(export  *\)\{0,1\}\([A-Za-z_][A-Za-z_0-9]*\) *=.*/\2/p' .env 2>/dev/null | while read -r name || [ -n "$name" ]; do # the last line may lack a newline
        case "$name" in
            COMPOSE_* | DOCKER_*) ;;
            *)
                if ! grep -q "^#$name=" .env.example; then
                    echo "docker.sh: .env: there is no setting $name; .env.example lists them all" >&2
                    exit 1
                fi
                ;;
        esac
    done
}

build_images() {
    docker build --tag afterwrite .
    if [ "$profile" = stack ]; then
        docker build --tag afterwrite-airflow --file Dockerfile.airflow .
    fi
}

# Names the services of a profile, because Compose would start `app` as well.
start_services() {
    check_names
    if [ -z "$profile" ]; then
        compose up --detach
        return
    fi
    keep_passwords
    if [ "$profile" = scale ]; then
        compose up --detach nginx worker
    else
        compose up --detach stack-api stack-worker consumer notification airflow-scheduler airflow-dag-processor
    fi
}

# Secrets shared by the profile's services: given, or generated once and stored in .env.
keep_passwords() {
    keep_password POSTGRES_PASSWORD
    if [ "$profile" = stack ]; then
        keep_password RABBITMQ_PASSWORD
        keep_password REDIS_PASSWORD
        keep_password AIRFLOW_PASSWORD
        keep_password AIRFLOW_ADMIN_PASSWORD
        keep_password AIRFLOW_DATABASE_PASSWORD
        keep_password AIRFLOW_SECRET_KEY
        keep_password AIRFLOW_JWT_SECRET
        keep_password AIRFLOW_FERNET_KEY
    fi
}

keep_password() {
    eval "given=\${$1:-}"
    if [ -n "$given" ] || grep -qs "^ *\(export  *\)\{0,1\}$1 *=." .env; then
        return
    fi
    case "$1" in
        AIRFLOW_FERNET_KEY) password=$(head -c 32 /dev/urandom | base64 | tr '+/' '-_') ;; # Fernet's format
        *) password=$(od -An -v -N32 -tx1 /dev/urandom | tr -d ' \n') ;;
    esac
    add_to_env "$1=$password" # before the volume gets it, so that a power cut cannot leave a password only there
    echo "Made $1 and stored it in .env: keep it as long as the volumes"
}

# Appends a line to .env atomically: a power cut leaves either the old file or the new one.
# Runs in a subshell to keep its umask and variable local.
add_to_env() (
    umask 077
    env=.env
    if [ -L .env ]; then
        env=$(readlink -f .env) # a rename would replace the link, not its file
    fi
    rm -f "$env.new" # left over from an interrupted run
    if [ -e "$env" ]; then
        cp -p "$env" "$env.new"
    fi
    printf '\n%s\n' "$1" >>"$env.new"
    flush "$env.new"
    mv -f "$env.new" "$env"
    flush "$(dirname "$env")"
)

# Flushes a file or folder to disk, or everything where sync takes no operand.
flush() {
    sync "$1" 2>/dev/null || sync
}

# Runs a command in a container that reaches the server at 127.0.0.1:5000.
in_server() {
    if [ "$profile" = scale ]; then
        compose run --rm --no-deps -T client "$@"
    else
        compose exec -T --env API_KEY "$service" "$@"
    fi
}

# SQLite files have a single owner, so the server must stop for a load; PostgreSQL must run.
make_way() {
    if [ -z "$profile" ]; then
        compose stop
    else
        start_services
    fi
}

wait_ready() {
    if [ "$profile" = scale ]; then
        compose exec -T api python -m devkit.health --wait 60
    fi
    if [ "$profile" = stack ]; then
        compose exec -T stack-worker python -m devkit.health --wait 60
        compose exec -T consumer python -m devkit.health --wait 60
        compose exec -T notification python -m devkit.health --wait 60
        compose exec -T consumer python -m devkit.airflow_ready --wait 120
    fi
    in_server python -m devkit.health --wait 60
    echo "Ready: http://127.0.0.1:$(port) (GraphiQL: http://127.0.0.1:$(port)/graphql)"
}

confirm() {
    if [ "${1:-}" = "--yes" ]; then
        return
    fi
    printf 'Remove the containers, images and volumes, including all products? [y/N] '
    read -r answer || answer=no
    if [ "$answer" != "y" ]; then
        echo "Nothing was removed; add --yes to skip this question"
        exit 1
    fi
}

require_file() {
    if [ ! -f "$1" ]; then
        echo "docker.sh: there is no file $1" >&2
        exit 1
    fi
}

if [ "$#" -eq 0 ]; then
    help
    exit 0
fi
verb=$1
shift
code=0
profile=
service=app
if [ "${1:-}" = --profile ]; then
    case "${2:-}" in
        scale) service=api ;;
        stack) service=stack-api ;;
        *)
            echo "docker.sh: there is no profile '${2:-}'; use scale or stack" >&2
            exit 2
            ;;
    esac
    profile=$2
    shift 2
fi

case "$verb" in
    up)
        build_images
        start_services
        wait_ready
        ;;
    start)
        start_services
        wait_ready
        ;;
    stop)
        compose --profile scale --profile stack stop
        ;;
    restart)
        compose --profile scale --profile stack stop
        start_services
        wait_ready
        ;;
    test)
        start_services
        wait_ready
        in_server python integration_test.py "$@"
        ;;
    test-verbose)
        start_services
        wait_ready
        in_server python integration_test.py --verbose "$@"
        ;;
    test-debug)
        start_services
        wait_ready
        if [ -z "$profile" ]; then
            in_server python integration_test.py --debug "$@"
        else
            in_server python integration_test.py --verbose "$@" || code=$?
            compose logs --tail 50
            exit "$code"
        fi
        ;;
    build)
        docker build --tag afterwrite "$@" .
        ;;
    clean)
        confirm "$@"
        compose --profile scale --profile stack down --volumes --rmi all --remove-orphans
        ;;
    fresh)
        confirm "$@"
        compose --profile scale --profile stack down --volumes --rmi all --remove-orphans
        build_images
        start_services
        wait_ready
        ;;
    shell)
        compose exec "$service" sh
        ;;
    init-db)
        # The server runs afterwards even if the load fails.
        if [ "$#" -eq 0 ] || [ "${1#-}" != "$1" ]; then
            make_way
            compose run --rm --no-deps -T "$service" python init_db.py "$@" || code=$?
        else
            name=$(basename "$1")
            file=$(cd "$caller" && cd "$(dirname "$1")" && pwd)/$name
            require_file "$file"
            shift
            compose run --rm --no-deps -T --volume "$file:/input/$name:ro" "$service" python init_db.py --check "/input/$name" "$@"
            make_way
            compose run --rm --no-deps -T --volume "$file:/input/$name:ro" "$service" python init_db.py "/input/$name" "$@" || code=$?
        fi
        start_services
        wait_ready
        exit "$code"
        ;;
    logs)
        compose logs --follow --tail 50
        ;;
    graphql)
        if [ "$#" -eq 0 ]; then
            echo "http://127.0.0.1:$(port)/graphql"
        else
            in_server python -m devkit.ask "$@"
        fi
        ;;
    key)
        # In a new container: a server without keys may refuse to start.
        compose run --rm --no-deps -T "$service" python -m afterwrite key "$@"
        ;;
    migrate-to-postgres)
        keep_passwords
        build_images
        compose --profile scale --profile stack stop
        compose --profile scale run --rm -T api python -m afterwrite migrate-to-postgres "$@"
        ;;
    demo)
        build_images
        start_services
        wait_ready
        in_server python integration_test.py --verbose || code=$?
        in_server python -m devkit.task_demo || code=$?
        echo "The server keeps running; stop it with docker.sh stop${profile:+ --profile $profile}"
        exit "$code"
        ;;
    help | -h | --help)
        help
        ;;
    *)
        echo "docker.sh: there is no verb '$verb'; run docker.sh without arguments for a list" >&2
        exit 2
        ;;
esac
