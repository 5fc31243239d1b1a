// What the pages do in the browser beside htmx: the dialog, messages, relative times, cheap polling, uploads.
"use strict";

(() => {
  const dialog = document.getElementById("dialog");
  const dialogContent = document.getElementById("dialog-content");
  const toasts = document.getElementById("toasts");
  const csrf = document.querySelector('meta[name="csrf-token"]').content;

  // -- messages ------------------------------------------------------------------------------------------------

  const TOASTS_MAX = 4;
  const TOAST_MILLISECONDS = 8000;

  function toast(text, kind) {
    if ([...toasts.children].some((one) => one.firstChild.textContent === text)) return; // it is said already
    const shown = document.createElement("div");
    shown.className = `toast ${kind}`;
    const words = document.createElement("span");
    words.textContent = text;
    const close = document.createElement("button");
    close.type = "button";
    close.className = "plain";
    close.setAttribute("aria-label", "Dismiss");
    close.textContent = "✕";
    close.addEventListener("click", () => shown.remove());
    shown.append(words, close);
    toasts.append(shown);
    toasts.hidePopover();
    toasts.showPopover(); // now it lies over the dialog too
    while (toasts.children.length > TOASTS_MAX) toasts.firstChild.remove();
    if (kind !== "error") setTimeout(() => shown.remove(), TOAST_MILLISECONDS);
  }

  document.addEventListener("toast", (event) => toast(event.detail.text, event.detail.kind));

  document.addEventListener("htmx:error", (event) => {
    if (event.detail.ctx?.sourceElement?.hasAttribute("data-live")) return showLost(true);
    toast("The server did not answer: is it running?", "error");
  });

  // -- what is kept fresh ----------------------------------------------------------------------------------------

  // Of each part that is kept fresh: which page it shows, so that the server need not send that again.
  const shownPages = new WeakMap();

  function showLost(lost) {
    document.body.toggleAttribute("data-lost", lost);
  }

  document.addEventListener("htmx:config:request", (event) => {
    const { sourceElement, request } = event.detail.ctx;
    const polls = sourceElement.hasAttribute("data-live");
    if (polls && document.hidden) return event.preventDefault();
    if (request.method !== "GET") {
      request.headers["X-CSRF-Token"] = csrf;
      return undefined;
    }
    for (const [name, value] of [...request.body]) if (value === "") request.body.delete(name);
    const known = polls ? shownPages.get(sourceElement) : undefined;
    if (known?.url === request.action) request.headers["If-None-Match"] = known.tag;
    return undefined;
  });

  document.addEventListener("htmx:after:request", (event) => {
    const { sourceElement, response, target } = event.detail.ctx;
    if (sourceElement.hasAttribute("data-live")) showLost(response.status >= 500);
    if (sourceElement.hasAttribute("data-closes-dialog") && response.status === 204) dialog.close();
    if (response.status !== 200 || !target?.hasAttribute?.("data-live")) return;
    shownPages.delete(target);
    const tag = response.headers.get("ETag");
    if (tag && target === sourceElement) {
      shownPages.set(target, { url: target.getAttribute("hx-get"), tag });
    }
  });

  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) document.body.dispatchEvent(new CustomEvent("look"));
  });

  // -- the dialog -----------------------------------------------------------------------------------------------

  document.addEventListener("htmx:after:swap", (event) => {
    const { target, sourceElement } = event.detail.ctx;
    if (target === dialogContent && sourceElement.hasAttribute("data-opens-dialog") && !dialog.open) {
      dialog.showModal();
    }
    if (target === dialogContent) {
      const first = dialogContent.querySelector("[aria-invalid], [autofocus], input:not([type=hidden]), select, textarea");
      (first ?? dialogContent.querySelector("[data-close]"))?.focus();
    }
    refresh();
  });

  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-close]")) dialog.close();
    if (event.target === dialog) dialog.close();
  });

  dialog.addEventListener("close", () => dialogContent.replaceChildren());

  // -- relative times ---------------------------------------------------------------------------------------------

  const UNITS = [
    ["day", 86400],
    ["hour", 3600],
    ["minute", 60],
    ["second", 1],
  ];
  const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto" });

  function sinceText(moment) {
    const seconds = Math.round((moment - Date.now()) / 1000);
    if (Math.abs(seconds) < 2) return "just now";
    const [unit, length] = UNITS.find(([, length]) => Math.abs(seconds) >= length) ?? UNITS[3];
    return relative.format(Math.trunc(seconds / length), unit);
  }

  function showTimes() {
    for (const time of document.querySelectorAll("time[datetime]")) {
      const text = sinceText(Date.parse(time.dateTime));
      if (time.textContent !== text) time.textContent = text;
    }
  }

  setInterval(showTimes, 1000);

  // -- pictures that cannot be shown --------------------------------------------------------------------------------

  function hideBroken(picture) {
    picture.closest(".thumb")?.classList.add("broken");
  }

  document.addEventListener(
    "error",
    (event) => {
      if (event.target instanceof HTMLImageElement) hideBroken(event.target);
    },
    true,
  );

  function hideBrokenAlready() {
    for (const picture of document.querySelectorAll(".thumb img")) {
      if (picture.complete && picture.naturalWidth === 0) hideBroken(picture);
    }
  }

  // -- what ends while one looks on -----------------------------------------------------------------------------------

  const statuses = new Map();
  const ENDINGS = { COMPLETED: ["completed", "done"], FAILED: ["failed", "error"] };

  const settled = new Set();

  function lookAfterSettled() {
    for (const receipt of document.querySelectorAll("#dialog [data-receipt]:not([data-receipt=QUEUED])")) {
      if (settled.has(receipt.id)) continue;
      settled.add(receipt.id);
      document.body.dispatchEvent(new CustomEvent("changed"));
    }
  }

  function tellEnds() {
    for (const row of document.querySelectorAll("[data-told-id]")) {
      const { toldId: id, toldStatus: status, toldName: name } = row.dataset;
      const before = statuses.get(id);
      statuses.set(id, status);
      if (before !== undefined && before !== status && ENDINGS[status]) {
        const [word, kind] = ENDINGS[status];
        toast(`${name} ${word}`, kind);
      }
    }
  }

  // -- uploads: fetch tells no progress, XMLHttpRequest does -------------------------------------------------------------

  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (!form.matches("[data-upload]")) return;
    event.preventDefault();
    const file = form.querySelector("input[type=file]").files[0];
    if (file?.size > Number(form.dataset.maxBytes)) {
      return toast(`${file.name} has ${file.size} bytes: ${form.dataset.maxBytes} are the limit`, "error");
    }
    const place = form.querySelector("[data-progress]");
    const bar = place.querySelector("progress");
    const words = place.querySelector("span");
    const button = form.querySelector("button[type=submit]");
    const ask = new XMLHttpRequest();
    const finish = () => {
      button.disabled = false;
      place.hidden = true;
    };
    place.hidden = false;
    button.disabled = true;
    ask.upload.addEventListener("progress", (sent) => {
      bar.max = sent.total;
      bar.value = sent.loaded;
      const percent = Math.round((100 * sent.loaded) / sent.total);
      words.textContent = percent < 100 ? `${percent} % sent` : "Sent; the rows are being checked";
    });
    ask.addEventListener("load", () => {
      finish();
      if (ask.getResponseHeader("HX-Redirect")) window.location.href = ask.getResponseHeader("HX-Redirect");
      else if (ask.getResponseHeader("Content-Type")?.startsWith("text/html")) showUpload(ask.responseText);
      else toast(ask.statusText || `The server answered ${ask.status}`, "error");
    });
    ask.addEventListener("error", () => {
      finish();
      toast("The connection broke before the file was sent: send it again, no row is added twice", "error");
    });
    ask.open("POST", form.action);
    ask.setRequestHeader("X-CSRF-Token", csrf);
    ask.setRequestHeader("HX-Request", "true");
    ask.setRequestHeader("HX-Target", "div#dialog-content");
    ask.setRequestHeader("HX-Current-URL", window.location.href);
    ask.send(new FormData(form));
    return undefined;
  });

  function showUpload(html) {
    dialogContent.innerHTML = html;
    htmx.process(dialogContent);
    dialogContent.querySelector("[data-close]")?.focus();
    document.body.dispatchEvent(new CustomEvent("changed"));
    refresh();
  }

  // -- all of it ----------------------------------------------------------------------------------------------------------

  function refresh() {
    showTimes();
    hideBrokenAlready();
    tellEnds();
    lookAfterSettled();
  }

  refresh();
})();
