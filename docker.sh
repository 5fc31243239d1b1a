#!/bin/sh
# Runs every daily command with Docker: ./docker.sh VERB. Keep in step with docker.bat (a test compares them).
set -eu
caller=$PWD
cd "$(dirname "$0")"

help() {
    cat <<'END'
usage: docker.sh VERB [--profile PROFILE] [ARGUMENT...]

  up                    build what it runs on, start the server, wait until it is ready
  start                 start the server, wait until it is ready
  stop                  stop the server; running tasks end, what waits is applied, for 30 s at most
  restart               stop, then start
  test                  test over HTTP, one line a test
  test-verbose          the same, showing each request and response
  test-debug            the same, and the end of the server's log
  build [ARGUMENT...]   build the server's image; arguments go to docker build
  clean [--yes]         remove containers, images and volumes of every kind, every product included
  fresh [--yes]         clean, then up
  shell                 open a shell in the running container
  init-db [FILE] ...    load the sample catalogue or a JSON, JSONL or CSV file; options go to init_db.py
  logs                  last 50 lines of the log, then what follows
  graphql [DOCUMENT]    send a document; without one, print the address of GraphiQL
  key ...               make, list or remove keys: key add NAME --role ROLE, key list, key remove NAME
  migrate-to-postgres   copy the data of the one server into the empty PostgreSQL of --profile scale; stops it
  demo                  up, test with full output, run tasks and show them, keep the server running

With --profile scale the server is PostgreSQL, two API containers behind nginx and two containers of workers. With
--profile stack processes run in Airflow: PostgreSQL, an API container, workers, RabbitMQ, Redis, Airflow, consumer and
notification (docs/operations.md). One kind can run at a time; all have the same keys. The two profiles have the same
products, the one server has its own.

Settings are read from the environment and from .env beside this script (.env.example has them all): PORT (5000),
PUBLISHED_HOST (127.0.0.1), those under x-settings in docker-compose.yml, and for the stack QUEUE_MAX_MESSAGES,
CALLBACK_HOURS, AIRFLOW_PARALLELISM (8), AIRFLOW_PORT (8080), AIRFLOW_PUBLIC_URL (http://127.0.0.1:8080) and
RABBITMQ_PORT (15672). API_KEY, the key that the commands themselves show to the server, is read from the environment.
POSTGRES_PASSWORD, and for the stack RABBITMQ_PASSWORD, REDIS_PASSWORD, AIRFLOW_PASSWORD, AIRFLOW_ADMIN_PASSWORD,
AIRFLOW_DATABASE_PASSWORD, AIRFLOW_SECRET_KEY, AIRFLOW_JWT_SECRET and AIRFLOW_FERNET_KEY are made and kept in .env
unless given.
END
}

compose() {
    if docker compose version >/dev/null 2>&1; then
        docker compose ${profile:+--profile "$profile"} "$@"
    else
        docker-compose ${profile:+--profile "$profile"} "$@"
    fi
}

# PORT as compose takes it: of the environment, or of .env.
port() {
    in_file=$(sed -n "s/^ *\(export  *\)\{0,1\}PORT *= *[\"']\{0,1\}\([0-9]*\).*/\2/p" .env 2>/dev/null | tail -n 1)
    given=${PORT-$in_file}
    echo "${given:-5000}"
}

# Compose takes any name in .env; a misspelt one would have no effect.
check_names() {
    sed -n 's/^ *\(export  *\)\{0,1\}\([A-Za-z_][A-Za-z_0-9]*\) *=.*/\2/p' .env 2>/dev/null | while read -r name || [ -n "$name" ]; do # its last line may lack its end
        case "$name" in
            COMPOSE_* | DOCKER_*) ;;
            *)
                if ! grep -q "^#$name=" .env.example; then
                    echo "docker.sh: .env: there is no setting $name; .env.example has all of them" >&2
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

# With a profile, names what is to start: `app` would start, too.
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

# What the profile's parts show to each other: given, or made once and kept where compose reads it.
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
        AIRFLOW_FERNET_KEY) password=$(head -c 32 /dev/urandom | base64 | tr '+/' '-_') ;; # the form that Fernet wants
        *) password=$(od -An -v -N32 -tx1 /dev/urandom | tr -d ' \n') ;;
    esac
    add_to_env "$1=$password" # before a volume has the password: after a power cut both have it, or none
    echo "Made $1: it is in .env and belongs to the volumes, so keep it as long as those"
}

# Replaces .env with a copy that ends in the line: a power cut leaves the old file or the new one, each of them whole.
# Runs in a subshell, so that its umask and its variable end with it.
add_to_env() (
    umask 077
    env=.env
    if [ -L .env ]; then
        env=$(readlink -f .env) # a rename would replace the link, not its file
    fi
    rm -f "$env.new" # left over from a run that was cut off
    if [ -e "$env" ]; then
        cp -p "$env" "$env.new"
    fi
    printf '\n%s\n' "$1" >>"$env.new"
    flush "$env.new"
    mv -f "$env.new" "$env"
    flush "$(dirname "$env")"
)

# Flushes one file or folder to disk, or everything where sync takes no operand.
flush() {
    sync "$1" 2>/dev/null || sync
}

# Runs a command where the server is at 127.0.0.1:5000.
in_server() {
    if [ "$profile" = scale ]; then
        compose run --rm --no-deps -T client "$@"
    else
        compose exec -T --env API_KEY "$service" "$@"
    fi
}

# Files have one owner, so the server stops for a load; PostgreSQL has to run for it.
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
    printf 'Remove the containers, the images and the volumes with every product? [y/N] '
    read -r answer || answer=no
    if [ "$answer" != "y" ]; then
        echo "Nothing was removed (add --yes where nobody can be asked)"
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
            echo "docker.sh: there is no profile '${2:-}'; there are scale and stack" >&2
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
        # Whether the load succeeds or not, the server runs afterwards.
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
        # Not in the running container: a server without keys may refuse to start.
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
        echo "The server keeps running; docker.sh stop${profile:+ --profile $profile} ends it"
        exit "$code"
        ;;
    help | -h | --help)
        help
        ;;
    *)
        echo "docker.sh: there is no verb '$verb'; without a verb, docker.sh prints all of them" >&2
        exit 2
        ;;
esac
