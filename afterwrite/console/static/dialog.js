// The page's dialog: opening, closing and focus.
"use strict";

(() => {
  const dialog = document.getElementById("dialog");
  const content = document.getElementById("dialog-content");
  const main = document.getElementById("content");
  const SECOND_CLICK_MILLISECONDS = 700;
  const SAME_PLACE_PIXELS = 8;

  document.addEventListener("htmx:after:swap", (event) => {
    const { target, sourceElement, response } = event.detail.ctx;
    if (target !== content) {
      if (!dialog.open) keepFocus();
      return;
    }
    if (response.status >= 400) return; // a message says why
    if (sourceElement.hasAttribute("data-opens-dialog") && !dialog.open) {
      dialog.showModal();
      afterwrite.placeToasts();
    }
    afterwrite.focusDialog();
  });

  document.addEventListener("htmx:after:request", (event) => {
    const { sourceElement, response } = event.detail.ctx;
    if (sourceElement.hasAttribute("data-closes-dialog") && response.status === 204) dialog.close();
  });

  afterwrite.focusDialog = () => {
    const wanted = ["[aria-invalid]", "[autofocus]", "input:not([type=hidden]), select, textarea", "[data-close]"];
    const first = wanted.map((selector) => content.querySelector(selector)).find((found) => found);
    first?.focus();
  };

  // The focused element may have been removed with its row: focus the main element then, not the top of the document.
  function keepFocus() {
    if (document.activeElement === document.body && document.body.dataset.focused) main.focus({ preventScroll: true });
  }

  document.addEventListener("focusin", (event) => {
    document.body.dataset.focused = main.contains(event.target) ? "main" : "";
  });

  // Without the dialog, a refused form comes back as a new page.
  document.querySelector("main form[method=post] [aria-invalid]")?.focus();

  // -- closing: by a button, Escape, or a click that began and ended outside the dialog ---------------------------------

  const isOutside = (event) => {
    if (event.target !== dialog) return false;
    const box = dialog.getBoundingClientRect();
    const { clientX: x, clientY: y } = event;
    return x < box.left || x > box.right || y < box.top || y > box.bottom;
  };
  let pressedOutside = false;

  document.addEventListener("pointerdown", (event) => {
    pressedOutside = isOutside(event);
  });

  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-close]") || (pressedOutside && isOutside(event))) dialog.close();
  });

  dialog.addEventListener("close", () => {
    content.replaceChildren();
    afterwrite.placeToasts();
    setTimeout(() => {
      if (document.activeElement === document.body) main.focus({ preventScroll: true });
    });
  });

  // -- double clicks: after the first click the button of the opposite action may be in the same place ---------------------

  let last = { at: 0, x: 0, y: 0 };

  document.addEventListener(
    "click",
    (event) => {
      if (!event.target.closest("form.act button")) return;
      const now = { at: event.timeStamp, x: event.clientX, y: event.clientY };
      const isSecond =
        event.detail > 0 &&
        now.at - last.at < SECOND_CLICK_MILLISECONDS &&
        Math.hypot(now.x - last.x, now.y - last.y) < SAME_PLACE_PIXELS;
      if (isSecond) {
        event.preventDefault();
        event.stopImmediatePropagation();
      } else last = now;
    },
    true,
  );
})();
