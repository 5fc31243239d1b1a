#!/bin/sh
# Runs every daily command with Docker: ./docker.sh VERB. Keep in step with docker.bat (a test compares them).
set -eu
caller=$PWD
cd "$(dirname "$0")"

help() {
    cat <<'END'
usage: docker.sh VERB [ARGUMENT...]

  up                    build the image, start the server, wait until it is ready
  start                 start the server, wait until it is ready
  stop                  stop the server; running tasks end, what waits is applied, for 30 s at most
  restart               stop, then start
  test                  test over HTTP, one line a test
  test-verbose          the same, showing each request and response
  test-debug            the same, and the end of the server's log
  build [ARGUMENT...]   build the image; arguments go to docker build
  clean [--yes]         remove container, image and volume, every product included
  fresh [--yes]         clean, then up
  shell                 open a shell in the running container
  init-db [FILE]        load the sample catalogue or a JSON, JSONL or CSV file
  logs                  last 50 lines of the log, then what follows
  graphql [DOCUMENT]    send a document; without one, print the address of GraphiQL
  key ...               make, list or remove keys: key add NAME --role ROLE, key list, key remove NAME
  demo                  up, test with full output, run tasks and show them, keep the server running

These are read from the environment: PORT (5000), SERVER, THREADS, LOG_LEVEL, LOG_FORMAT, JOURNAL_SYNC,
INTROSPECTION, STRIPE_SECRET_KEY, STRIPE_API_BASE, WEBHOOK_SECRET, WEBHOOK_ALLOW_PRIVATE, STAGE_SECONDS,
TASK_LOCK_SECONDS, TASK_RETENTION_DAYS, PUBLISHED_HOST (127.0.0.1), API_KEYS, ALLOW_ANONYMOUS, SESSION_HOURS,
PROXIES, RATE_LIMIT; and API_KEY, the key that the commands themselves show to the server.
END
}

compose() {
    if docker compose version >/dev/null 2>&1; then
        docker compose "$@"
    else
        docker-compose "$@"
    fi
}

wait_ready() {
    compose exec -T app python -m devkit.health --wait 60
    echo "Ready: http://127.0.0.1:${PORT:-5000} (GraphiQL: http://127.0.0.1:${PORT:-5000}/graphql)"
}

confirm() {
    if [ "${1:-}" = "--yes" ]; then
        return
    fi
    printf 'Remove the container, the image and the volume with every product? [y/N] '
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

case "$verb" in
    up)
        docker build --tag afterwrite .
        compose up --detach
        wait_ready
        ;;
    start)
        compose up --detach
        wait_ready
        ;;
    stop)
        compose stop
        ;;
    restart)
        compose stop
        compose up --detach
        wait_ready
        ;;
    test)
        compose up --detach
        wait_ready
        compose exec -T --env API_KEY app python integration_test.py "$@"
        ;;
    test-verbose)
        compose up --detach
        wait_ready
        compose exec -T --env API_KEY app python integration_test.py --verbose "$@"
        ;;
    test-debug)
        compose up --detach
        wait_ready
        compose exec -T --env API_KEY app python integration_test.py --debug "$@"
        ;;
    build)
        docker build --tag afterwrite "$@" .
        ;;
    clean)
        confirm "$@"
        compose down --volumes --rmi all --remove-orphans
        ;;
    fresh)
        confirm "$@"
        compose down --volumes --rmi all --remove-orphans
        docker build --tag afterwrite .
        compose up --detach
        wait_ready
        ;;
    shell)
        compose exec app sh
        ;;
    init-db)
        # Whether the load succeeds or not, the server is started again.
        if [ "$#" -eq 0 ]; then
            compose stop
            compose run --rm --no-deps -T app python init_db.py || code=$?
        else
            name=$(basename "$1")
            file=$(cd "$caller" && cd "$(dirname "$1")" && pwd)/$name
            require_file "$file"
            compose stop
            compose run --rm --no-deps -T --volume "$file:/input/$name:ro" app python init_db.py "/input/$name" || code=$?
        fi
        compose up --detach
        wait_ready
        exit "$code"
        ;;
    logs)
        compose logs --follow --tail 50
        ;;
    graphql)
        if [ "$#" -eq 0 ]; then
            echo "http://127.0.0.1:${PORT:-5000}/graphql"
        else
            compose exec -T --env API_KEY app python -m devkit.ask "$@"
        fi
        ;;
    key)
        # Not in the running container: a server without keys may refuse to start.
        compose run --rm --no-deps -T app python -m devkit.keys "$@"
        ;;
    demo)
        docker build --tag afterwrite .
        compose up --detach
        wait_ready
        compose exec -T --env API_KEY app python integration_test.py --verbose || code=$?
        compose exec -T --env API_KEY app python -m devkit.task_demo || code=$?
        echo "The server keeps running; docker.sh stop ends it"
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
