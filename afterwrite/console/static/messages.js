// Says what happened: messages over the page, and a banner while the server cannot be asked.
"use strict";

const afterwrite = {};

(() => {
  const TOASTS_MAX = 4;
  const TOAST_MILLISECONDS = 8000;
  const toasts = document.getElementById("toasts");
  const dialog = document.getElementById("dialog");

  // kind is done, warning, error, or lost, which goes when the server answers again; key tells two that say the same apart.
  afterwrite.toast = (text, kind, { key = text, link = null } = {}) => {
    if ([...toasts.children].some((one) => one.dataset.key === key)) return; // it is said already
    const shown = document.createElement("div");
    shown.className = `toast ${kind}`;
    shown.dataset.key = key;
    const words = document.createElement("span");
    words.textContent = text;
    if (link) words.append(" ", newTabLink(link));
    shown.append(words, closeButton(shown));
    toasts.append(shown);
    while (toasts.children.length > TOASTS_MAX) toasts.firstChild.remove();
    afterwrite.placeToasts();
    if (kind === "done" || kind === "warning") setTimeout(() => shown.remove(), TOAST_MILLISECONDS);
  };

  function newTabLink({ text, url }) {
    const anchor = document.createElement("a");
    anchor.href = url;
    anchor.target = "_blank";
    anchor.textContent = text;
    return anchor;
  }

  function closeButton(shown) {
    const close = document.createElement("button");
    close.type = "button";
    close.className = "plain";
    close.setAttribute("aria-label", "Dismiss");
    close.textContent = "✕";
    close.addEventListener("click", () => shown.remove());
    return close;
  }

  // What lies below an open dialog can be neither clicked nor reached with the keyboard: messages move into it, above its form.
  afterwrite.placeToasts = () => {
    if (dialog.open) {
      if (toasts.parentNode !== dialog) dialog.prepend(toasts);
      return;
    }
    if (toasts.parentNode !== document.body) document.body.append(toasts);
    else toasts.hidePopover();
    if (toasts.children.length) toasts.showPopover();
  };

  afterwrite.answered = () => {
    for (const shown of toasts.querySelectorAll(".lost")) shown.remove();
    delete document.body.dataset.banner;
  };

  afterwrite.banner = (text) => {
    document.body.dataset.banner = text;
  };

  document.addEventListener("toast", (event) => {
    const { text, kind } = event.detail;
    if (event.target.hasAttribute?.("data-live")) afterwrite.banner(text); // nobody asked for anything
    else afterwrite.toast(text, kind);
  });
})();
