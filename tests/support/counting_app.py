"""An application with a worker of its own, and no resource."""

from afterwrite import Application, BaseWorker, Settings, Task, TaskContext

TEXT = {"type": "object", "required": ["text"], "properties": {"text": {"type": "string"}}}


class CountWords(BaseWorker):
    """Counts the words of a text, and says in which process."""

    types = {"count_words": TEXT}

    async def execute_task(self, task: Task, context: TaskContext) -> dict[str, object]:
        """Count."""
        return {"words": len(task.payload["text"].split()), "by": task.locked_by}


class TellPort(BaseWorker):
    """Tells a setting."""

    types = {"tell_port": {"type": "object"}}

    def __init__(self, port: int) -> None:
        self._port = port

    async def execute_task(self, task: Task, context: TaskContext) -> int:
        """Tell it."""
        return self._port


def tell_port(settings: Settings) -> BaseWorker:
    """A worker that is made of the settings."""
    return TellPort(settings.port)


application = Application(workers=[CountWords, tell_port])
wsgi = application.wsgi

if __name__ == "__main__":
    raise SystemExit(application.run())
