// Shows what the server leaves to the browser: relative times, pictures that cannot be loaded, what ends meanwhile.
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

  // -- pictures ---------------------------------------------------------------------------------------------------------

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

  // -- what ends while one looks on -----------------------------------------------------------------------------------------

  const ENDINGS = { COMPLETED: ["completed", "done"], FAILED: ["failed", "error"] };
  const ENDED = new Set(["COMPLETED", "FAILED", "CANCELLED"]);
  const GONE_ASKED_MAX = 10;
  const watched = new Map(); // by id: the name and the status that were seen last

  function tellEnd(id, name, status) {
    const [word, kind] = ENDINGS[status] ?? [];
    if (word) afterwrite.toast(`${name} ${word}`, kind, { key: `${id} ${status}` });
  }

  function tellEnds(isPoll) {
    const seen = new Set();
    for (const row of document.querySelectorAll("[data-told-id]")) {
      const { toldId: id, toldStatus: status, toldName: name } = row.dataset;
      const before = watched.get(id)?.status;
      seen.add(id);
      watched.set(id, { name, status });
      if (before !== undefined && before !== status) tellEnd(id, name, status);
    }
    const gone = [...watched].filter(([id, { status }]) => !seen.has(id) && !ENDED.has(status));
    for (const [id] of gone) if (!isPoll) watched.delete(id); // another filter or page: nobody looks at them any more
    if (isPoll) for (const [id, { name }] of gone.slice(0, GONE_ASKED_MAX)) askHowItEnded(id, name);
  }

  // A row that left a filtered list may have left it because it ended.
  async function askHowItEnded(id, name) {
    watched.delete(id);
    const answer = await fetch(`/tasks/${id}`, { headers: { Accept: "text/html" } });
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    tellEnd(id, name, page.querySelector("[data-task]")?.dataset.task);
  }

  // -- receipts: once a write is settled the lists on the page have something new ---------------------------------------------

  const waiting = new Set();

  function lookAfterSettled() {
    for (const receipt of document.querySelectorAll("[data-receipt]")) {
      if (receipt.dataset.receipt === "QUEUED") waiting.add(receipt.id);
      else if (waiting.delete(receipt.id)) document.body.dispatchEvent(new CustomEvent("changed"));
    }
  }

  afterwrite.refresh = (isPoll = false) => {
    showTimes();
    hideBrokenAlready();
    tellEnds(isPoll);
    lookAfterSettled();
  };

  document.addEventListener("htmx:after:swap", (event) => {
    afterwrite.refresh(event.detail.ctx.sourceElement.id === "list");
  });
  afterwrite.refresh();
})();
