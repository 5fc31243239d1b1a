// File upload with progress, by XMLHttpRequest because fetch reports no upload progress.
"use strict";

(() => {
  const dialog = document.getElementById("dialog");
  const content = document.getElementById("dialog-content");

  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (!form.matches("[data-upload]")) return;
    event.preventDefault();
    const file = form.querySelector("input[type=file]").files[0];
    if (file && file.size > Number(form.dataset.maxBytes)) {
      afterwrite.toast(`${file.name} has ${file.size} bytes: the limit is ${form.dataset.maxBytes}`, "error");
    } else send(form);
  });

  function send(form) {
    const ask = new XMLHttpRequest();
    const stop = () => {
      ask.abort();
      afterwrite.toast("The upload was stopped; some rows may have been accepted: see Writes", "warning");
    };
    form.querySelector("[data-progress]").hidden = false;
    form.querySelector("button[type=submit]").disabled = true;
    dialog.addEventListener("close", stop, { once: true });
    ask.addEventListener("loadend", () => {
      dialog.removeEventListener("close", stop);
      form.querySelector("[data-progress]").hidden = true;
      form.querySelector("button[type=submit]").disabled = false;
    });
    ask.upload.addEventListener("progress", (sent) => showProgress(form, sent));
    ask.addEventListener("load", () => show(ask));
    ask.addEventListener("error", () => {
      const message = "The connection broke before the file was sent: send it again, no row is added twice";
      afterwrite.toast(message, "error");
    });
    ask.open("POST", form.action);
    ask.setRequestHeader("X-CSRF-Token", document.querySelector('meta[name="csrf-token"]').content);
    ask.setRequestHeader("HX-Request", "true");
    ask.setRequestHeader("HX-Target", "div#dialog-content");
    ask.setRequestHeader("HX-Current-URL", window.location.href);
    ask.send(new FormData(form));
  }

  function showProgress(form, sent) {
    const bar = form.querySelector("progress");
    bar.max = sent.total;
    bar.value = sent.loaded;
    const percent = Math.round((100 * sent.loaded) / sent.total);
    const words = percent < 100 ? `${percent} % sent` : "Sent; the rows are being checked";
    form.querySelector("[data-progress] span").textContent = words;
  }

  function show(ask) {
    const events = ask.getResponseHeader("HX-Trigger");
    if (events) {
      const { toast } = JSON.parse(events);
      afterwrite.toast(toast.text, toast.kind);
    } else if (ask.responseText && ask.getResponseHeader("Content-Type")?.startsWith("text/html")) {
      content.innerHTML = ask.responseText;
      htmx.process(content);
      afterwrite.focusDialog();
      document.body.dispatchEvent(new CustomEvent("changed"));
      afterwrite.refresh();
    } else afterwrite.toast(`The server answered ${ask.status} ${ask.statusText}`, "error");
  }
})();
