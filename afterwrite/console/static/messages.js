// Toasts, and a banner while the server is unavailable.
"use strict";

const afterwrite = {};

(() => {
  const TOASTS_MAX = 4;
  const TOAST_MILLISECONDS = 8000;
  const toasts = document.getElementById("toasts");
  const dialog = document.getElementById("dialog");

  // kind is done, warning, error or lost (removed once the server answers again); key distinguishes toasts with the same text.
  afterwrite.toast = (text, kind, { key = text, link = null } = {}) => {
    if ([...toasts.children].some((one) => one.dataset.key === key)) return; // a duplicate
    const toast = document.createElement("div");
    toast.className = `toast ${kind}`;
    toast.dataset.key = key;
    const words = document.createElement("span");
    words.textContent = text;
    if (link) words.append(" ", newTabLink(link));
    toast.append(words, closeButton(toast));
    toasts.append(toast);
    while (toasts.children.length > TOASTS_MAX) toasts.firstChild.remove();
    afterwrite.placeToasts();
    if (kind === "done" || kind === "warning") setTimeout(() => toast.remove(), TOAST_MILLISECONDS);
  };

  function newTabLink({ text, url }) {
    const anchor = document.createElement("a");
    anchor.href = url;
    anchor.target = "_blank";
    anchor.textContent = text;
    return anchor;
  }

  function closeButton(toast) {
    const close = document.createElement("button");
    close.type = "button";
    close.className = "plain";
    close.setAttribute("aria-label", "Dismiss");
    close.textContent = "✕";
    close.addEventListener("click", () => toast.remove());
    return close;
  }

  // A modal dialog makes the rest of the page inert, so toasts move into it while it is open.
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
    for (const toast of toasts.querySelectorAll(".lost")) toast.remove();
    delete document.body.dataset.banner;
  };

  afterwrite.banner = (text) => {
    document.body.dataset.banner = text;
  };

  document.addEventListener("toast", (event) => {
    const { text, kind } = event.detail;
    if (event.target.hasAttribute?.("data-live")) afterwrite.banner(text); // a poll, not an action of the user
    else afterwrite.toast(text, kind);
  });
})();
