// Opens and closes the page's dialog, and keeps the focus where the work is.
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

  // What had the focus may have gone with its row: the page itself has it then, not the very beginning.
  function keepFocus() {
    if (document.activeElement === document.body && document.body.dataset.focused) main.focus({ preventScroll: true });
  }

  document.addEventListener("focusin", (event) => {
    document.body.dataset.focused = main.contains(event.target) ? "main" : "";
  });

  // A form that is a page of its own comes back as a new page when it is refused.
  document.querySelector("main form[method=post] [aria-invalid]")?.focus();

  // -- closing: by a button, Escape, or a click that began and ended beside the dialog ---------------------------------

  const isBeside = (event) => {
    if (event.target !== dialog) return false;
    const box = dialog.getBoundingClientRect();
    const { clientX: x, clientY: y } = event;
    return x < box.left || x > box.right || y < box.top || y > box.bottom;
  };
  let pressedBeside = false;

  document.addEventListener("pointerdown", (event) => {
    pressedBeside = isBeside(event);
  });

  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-close]") || (pressedBeside && isBeside(event))) dialog.close();
  });

  dialog.addEventListener("close", () => {
    content.replaceChildren();
    afterwrite.placeToasts();
    setTimeout(() => {
      if (document.activeElement === document.body) main.focus({ preventScroll: true });
    });
  });

  // -- a double click is one: the button of the opposite action may stand there by the second click -------------------------

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
