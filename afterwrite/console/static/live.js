// Polling of live parts of the page: conditional requests, and none while the tab is hidden.
"use strict";

(() => {
  const SESSION_ENDED = "Your session has ended.";

  // URL and ETag by live element, so that the server can answer 304.
  const loadedPages = new WeakMap();
  let silentUntil = 0;
  let lastFilterEvent = null;

  const isLive = (element) => Boolean(element?.hasAttribute?.("data-live"));

  document.addEventListener("htmx:config:request", (event) => {
    const ctx = event.detail.ctx;
    const { sourceElement, request } = ctx;
    const polls = isLive(sourceElement);
    if (polls && (document.hidden || Date.now() < silentUntil)) return event.preventDefault();
    if (request.method !== "GET") {
      request.headers["X-CSRF-Token"] = document.querySelector('meta[name="csrf-token"]').content;
      return undefined;
    }
    for (const [name, value] of [...request.body]) if (value === "") request.body.delete(name);
    if (ctx.push) mergeHistory(ctx);
    if (polls) {
      ctx.requestedUrl = sourceElement.getAttribute("hx-get");
      const known = loadedPages.get(sourceElement);
      if (known?.url === ctx.requestedUrl) request.headers["If-None-Match"] = known.tag;
    }
    return undefined;
  });

  // The filters may have changed since the request.
  const isOutdated = ({ sourceElement, requestedUrl }) =>
    isLive(sourceElement) && sourceElement.getAttribute("hx-get") !== requestedUrl;

  document.addEventListener("htmx:before:request", (event) => {
    if (isOutdated(event.detail.ctx)) event.preventDefault();
  });

  // A search typed letter by letter is one entry of the browser history, not one for each letter.
  function mergeHistory(ctx) {
    const kind = ctx.sourceEvent?.type;
    if (kind === "input" && lastFilterEvent === "input") {
      ctx.replace = ctx.push;
      ctx.push = null;
    }
    lastFilterEvent = kind;
  }

  document.addEventListener("htmx:after:request", (event) => {
    const ctx = event.detail.ctx;
    const { sourceElement, response, target } = ctx;
    if (isOutdated(ctx)) return event.preventDefault();
    if (response.status === 401) keepOpenForm(ctx);
    else if (response.status === 403) renewToken();
    else if (response.status === 429 && isLive(sourceElement)) {
      silentUntil = Date.now() + 1000 * Number(response.headers.get("Retry-After") ?? 10);
    } else if (response.status >= 500 && isLive(sourceElement)) {
      afterwrite.banner("The server is unavailable; trying again");
    } else if (response.status < 500) afterwrite.answered();
    if (response.status !== 200 || !isLive(target)) return undefined;
    loadedPages.delete(target);
    const tag = response.headers.get("ETag");
    if (tag && target === sourceElement) loadedPages.set(target, { url: ctx.requestedUrl, tag });
    return undefined;
  });

  document.addEventListener("htmx:error", (event) => {
    if (isLive(event.detail.ctx?.sourceElement)) afterwrite.banner("The server is not responding; trying again");
    else afterwrite.toast("The server did not answer: check that it is running, then send the form again", "lost");
  });

  // An expired session redirects to the sign-in page, except while an open dialog holds a form that may be filled in.
  function keepOpenForm(ctx) {
    if (!document.getElementById("dialog").open) return;
    delete ctx.hx.redirect;
    delete ctx.hx.trigger;
    const link = { text: "Sign in in another tab", url: "/sign-in" };
    afterwrite.toast(SESSION_ENDED, "error", { link });
  }

  // After a new sign-in in another tab, the forms of this page hold the CSRF token of the old session.
  async function renewToken() {
    const answer = await fetch("/sign-in", { headers: { Accept: "text/html" } });
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    const token = fresh.querySelector('meta[name="csrf-token"]')?.content;
    if (!token) return;
    document.querySelector('meta[name="csrf-token"]').content = token;
    for (const field of document.querySelectorAll('input[name="csrf_token"]')) field.value = token;
  }

  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) document.body.dispatchEvent(new CustomEvent("look"));
  });
})();
