// Starts GraphiQL on this page and carries its operations to the endpoint that the page names.
"use strict";

(() => {
  const place = document.getElementById("graphiql");
  const endpoint = place.dataset.endpoint;
  const examples = JSON.parse(place.dataset.examples);

  const TOKEN = place.dataset.csrfToken ? { "X-CSRF-Token": place.dataset.csrfToken } : {};
  const JSON_TYPES = "application/graphql-response+json, application/json;q=0.9";

  function send(parameters, options, accept, signal) {
    return fetch(endpoint, {
      method: "POST",
      headers: { "Content-Type": "application/json", Accept: accept, ...TOKEN, ...options?.headers },
      body: JSON.stringify(parameters),
      signal,
    });
  }

  function isSubscription(parameters, options) {
    const operations = (options?.documentAST?.definitions ?? []).filter(
      (definition) => definition.kind === "OperationDefinition",
    );
    const chosen =
      operations.find((operation) => operation.name?.value === parameters.operationName) ?? operations[0];
    return chosen?.operation === "subscription";
  }

  // Yields the data of each `next` event, until `complete`.
  async function* readEvents(response) {
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      text += value;
      const messages = text.split("\n\n");
      text = messages.pop();
      for (const message of messages) {
        const fields = Object.fromEntries(
          message.split("\n").map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 1)]),
        );
        if (fields.event?.trim() === "complete") return;
        if (fields.event?.trim() === "next") yield JSON.parse(fields.data);
      }
    }
  }

  // An async generator cannot be stopped while it waits for an event, so stopping aborts the request itself.
  function stream(parameters, options) {
    const abort = new AbortController();
    const events = (async function* () {
      const response = await send(parameters, options, "text/event-stream", abort.signal);
      if (response.headers.get("Content-Type")?.startsWith("text/event-stream")) yield* readEvents(response);
      else yield await response.json();
    })();
    return {
      [Symbol.asyncIterator]() {
        return this;
      },
      async next() {
        try {
          return await events.next();
        } catch (error) {
          if (abort.signal.aborted) return { done: true, value: undefined };
          throw error;
        }
      },
      async return() {
        abort.abort();
        return { done: true, value: undefined };
      },
    };
  }

  async function fetcher(parameters, options) {
    if (isSubscription(parameters, options)) return stream(parameters, options);
    const response = await send(parameters, options, JSON_TYPES);
    return response.json();
  }

  const asked = new URLSearchParams(window.location.search);
  const properties = {
    fetcher,
    defaultTabs: examples.map((query) => ({ query })),
    defaultEditorToolsVisibility: true,
    shouldPersistHeaders: false,
  };
  if (asked.has("query")) {
    properties.query = asked.get("query");
    properties.variables = asked.get("variables") ?? undefined;
  }

  // GraphiQL leaves its editors without names, and puts buttons into its tabs: a list of buttons says the same to everybody.
  const EDITORS = { ".graphiql-query-editor": "Operation", ".result-window": "Response", ".graphiql-editor-tool": "Variables and headers" };

  function nameParts() {
    for (const [section, name] of Object.entries(EDITORS)) {
      for (const input of place.querySelectorAll(`${section} .CodeMirror textarea:not([aria-label])`)) {
        input.setAttribute("aria-label", name);
      }
    }
    for (const tabs of place.querySelectorAll("[role=tablist]")) tabs.removeAttribute("role");
    for (const tab of place.querySelectorAll("li[role=tab]")) tab.removeAttribute("role");
    for (const tab of place.querySelectorAll("li.graphiql-tab")) {
      const isOpen = tab.classList.contains("graphiql-tab-active");
      const button = tab.querySelector(".graphiql-tab-button");
      tab.removeAttribute("aria-selected");
      if (button && (button.getAttribute("aria-current") === "true") !== isOpen) button.setAttribute("aria-current", String(isOpen));
    }
  }

  new MutationObserver(nameParts).observe(place, {
    attributeFilter: ["aria-selected", "class", "role"],
    attributes: true,
    childList: true,
    subtree: true,
  });

  place.textContent = "";
  const home = JSON.parse(place.dataset.home);
  const logo = home && React.createElement("a", { className: "graphiql-logo-link", href: home[1] }, home[0]);
  const parts = home ? [React.createElement(GraphiQL.Logo, { key: "logo" }, logo)] : [];
  ReactDOM.createRoot(place).render(React.createElement(GraphiQL, properties, ...parts));
})();
