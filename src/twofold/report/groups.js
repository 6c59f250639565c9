"use strict";
(() => {
  const cards = [...document.querySelectorAll(".copy")];
  const sections = [...document.querySelectorAll(".group")];
  const store = "twofold-dedup-" + document.querySelector("#bar").dataset.key;
  const deciding = cards.filter((card) => card.dataset.path !== undefined);
  let at = -1;

  const remember = () => {
    const gone = deciding.map((card) => (card.classList.contains("gone") ? "1" : "0")).join("");
    try { localStorage.setItem(store, gone); } catch (error) { /* private windows keep nothing */ }
  };
  const count = () => {
    const gone = deciding.filter((card) => card.classList.contains("gone"));
    const bytes = gone.reduce((sum, card) => sum + Number(card.dataset.bytes), 0);
    const size = bytes > 1e9 ? (bytes / 1e9).toFixed(1) + " GB" : bytes > 1e6 ? (bytes / 1e6).toFixed(1) + " MB" : Math.round(bytes / 1e3) + " kB";
    document.querySelector("#count").textContent = `${gone.length} of ${deciding.length} files go (${size})`;
    const empty = sections.filter((section) => {
      const inside = [...section.querySelectorAll(".copy")];
      return !section.querySelector(".known") && inside.every((card) => card.classList.contains("gone"));
    });
    sections.forEach((section) => section.classList.toggle("empty", empty.includes(section)));
    document.querySelector("#export").disabled = empty.length > 0;
    document.querySelector("#warn").textContent = empty.length ? `nothing would be left of ${empty.length} group${empty.length > 1 ? "s" : ""}: keep one of each` : "";
  };
  const decide = (card, gone) => {
    if (!card || card.dataset.path === undefined) return;
    card.classList.toggle("gone", gone);
    const button = card.querySelector("button");
    button.textContent = gone ? "delete" : "keep";
    button.setAttribute("aria-pressed", String(gone));
    remember();
    count();
  };
  const go = (place) => {
    at = Math.max(0, Math.min(cards.length - 1, place));
    cards.forEach((card, number) => card.classList.toggle("here", number === at));
    cards[at].scrollIntoView({ block: "nearest" });
  };
  const jump = (step) => {
    const now = sections.indexOf(cards[Math.max(at, 0)].closest(".group"));
    const next = sections[Math.max(0, Math.min(sections.length - 1, at < 0 ? 0 : now + step))];
    go(cards.indexOf(next.querySelector(".copy")));
    next.scrollIntoView({ block: "nearest" });
  };
  const quoted = (text) => (/[",\r\n]/.test(text) ? '"' + text.replaceAll('"', '""') + '"' : text);
  const save = () => {
    if (document.querySelector("#export").disabled) return;
    const lines = deciding.map((card) =>
      [card.dataset.group, quoted(card.dataset.path), card.classList.contains("gone") ? "delete" : "keep", card.dataset.bytes].join(","));
    document.querySelectorAll(".known").forEach((card) => lines.push([card.dataset.group, quoted(card.dataset.known), "keep", ""].join(",")));
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob(["group,path,decision,bytes\n" + lines.join("\n") + "\n"], { type: "text/csv" }));
    link.download = "decisions.csv";
    link.click();
    URL.revokeObjectURL(link.href);
  };
  const keys = {
    j: () => go(at + 1), k: () => go(at - 1), n: () => jump(1), p: () => jump(-1), e: save,
    d: () => { decide(cards[at], true); go(at + 1); }, s: () => { decide(cards[at], false); go(at + 1); },
    " ": () => decide(cards[at], !cards[at]?.classList.contains("gone")),
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !keys[event.key] || !cards.length) return;
    if (event.key === " " && event.target.tagName === "BUTTON") return;
    event.preventDefault();
    keys[event.key]();
  });
  deciding.forEach((card) => card.querySelector("button").addEventListener("click", () => {
    go(cards.indexOf(card));
    decide(card, !card.classList.contains("gone"));
  }));
  document.querySelector("#export").addEventListener("click", save);
  let kept = null;
  try { kept = localStorage.getItem(store); } catch (error) { /* as above */ }
  if (kept && kept.length === deciding.length) deciding.forEach((card, number) => decide(card, kept[number] === "1"));
  count();
})();
