// Keeps parts of the page fresh and cheap: asks for what may have changed only, and never while nobody looks.
"use strict";

(() => {
  const SESSION_ENDED = "Your session has ended.";

  // Of each part that is kept fresh: which page it shows, so that the server need not send that again.
  const shownPages = new WeakMap();
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
    if (ctx.push) typeOverHistory(ctx);
    if (polls) {
      ctx.askedFor = sourceElement.getAttribute("hx-get");
      const known = shownPages.get(sourceElement);
      if (known?.url === ctx.askedFor) request.headers["If-None-Match"] = known.tag;
    }
    return undefined;
  });

  // The filters may have changed since this part was asked for: then it is another page that is wanted.
  const isOutdated = ({ sourceElement, askedFor }) =>
    isLive(sourceElement) && sourceElement.getAttribute("hx-get") !== askedFor;

  document.addEventListener("htmx:before:request", (event) => {
    if (isOutdated(event.detail.ctx)) event.preventDefault();
  });

  // A search that is typed letter by letter is one step back, not one for each letter.
  function typeOverHistory(ctx) {
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
    if (response.status === 401) keepWhatWasTyped(ctx);
    else if (response.status === 403) renewToken();
    else if (response.status === 429 && isLive(sourceElement)) {
      silentUntil = Date.now() + 1000 * Number(response.headers.get("Retry-After") ?? 10);
    } else if (response.status >= 500 && isLive(sourceElement)) {
      afterwrite.banner("The server cannot answer now; trying again");
    } else if (response.status < 500) afterwrite.answered();
    if (response.status !== 200 || !isLive(target)) return undefined;
    shownPages.delete(target);
    const tag = response.headers.get("ETag");
    if (tag && target === sourceElement) shownPages.set(target, { url: ctx.askedFor, tag });
    return undefined;
  });

  document.addEventListener("htmx:error", (event) => {
    if (isLive(event.detail.ctx?.sourceElement)) afterwrite.banner("The server does not answer; trying again");
    else afterwrite.toast("The server did not answer: is it running? Nothing is lost here, send it again", "lost");
  });

  // A page goes to sign in by itself, unless there is a form that somebody has filled in.
  function keepWhatWasTyped(ctx) {
    if (!document.getElementById("dialog").open) return;
    delete ctx.hx.redirect;
    delete ctx.hx.trigger;
    const link = { text: "Sign in in another tab", url: "/sign-in" };
    afterwrite.toast(SESSION_ENDED, "error", { link });
  }

  // Signed in anew in another tab, this page's forms have the token of the session before: take the new one.
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
