// Updates after each swap: relative times, broken images, toasts for ended tasks, settled receipts.
"use strict";

(() => {
  // -- relative times ---------------------------------------------------------------------------------------------------

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

  // -- images -----------------------------------------------------------------------------------------------------------

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

  // -- toasts for tasks that end while the page is open ----------------------------------------------------------------------

  const ENDINGS = { COMPLETED: ["completed", "done"], FAILED: ["failed", "error"] };
  const ENDED = new Set(["COMPLETED", "FAILED", "CANCELLED"]);
  const GONE_CHECKS_MAX = 10;
  const watched = new Map(); // last seen name and status by id

  function toastEnding(id, name, status) {
    const [word, kind] = ENDINGS[status] ?? [];
    if (word) afterwrite.toast(`${name} ${word}`, kind, { key: `${id} ${status}` });
  }

  function toastEndings(isPoll) {
    const seen = new Set();
    for (const row of document.querySelectorAll("[data-watch-id]")) {
      const { watchId: id, watchStatus: status, watchName: name } = row.dataset;
      const before = watched.get(id)?.status;
      seen.add(id);
      watched.set(id, { name, status });
      if (before !== undefined && before !== status) toastEnding(id, name, status);
    }
    const gone = [...watched].filter(([id, { status }]) => !seen.has(id) && !ENDED.has(status));
    for (const [id] of gone) if (!isPoll) watched.delete(id); // another filter or page
    if (isPoll) for (const [id, { name }] of gone.slice(0, GONE_CHECKS_MAX)) checkEnding(id, name);
  }

  // A row that left a filtered list may have left it because it ended.
  async function checkEnding(id, name) {
    watched.delete(id);
    const answer = await fetch(`/tasks/${id}`, { headers: { Accept: "text/html" } });
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    toastEnding(id, name, page.querySelector("[data-task]")?.dataset.task);
  }

  // -- receipts: a settled write changes the lists on the page ---------------------------------------------------------------

  const waiting = new Set();

  function reloadAfterSettled() {
    for (const receipt of document.querySelectorAll("[data-receipt]")) {
      if (receipt.dataset.receipt === "QUEUED") waiting.add(receipt.id);
      else if (waiting.delete(receipt.id)) document.body.dispatchEvent(new CustomEvent("changed"));
    }
  }

  afterwrite.refresh = (isPoll = false) => {
    showTimes();
    hideBrokenAlready();
    toastEndings(isPoll);
    reloadAfterSettled();
  };

  document.addEventListener("htmx:after:swap", (event) => {
    afterwrite.refresh(event.detail.ctx.sourceElement.id === "list");
  });
  afterwrite.refresh();
})();
