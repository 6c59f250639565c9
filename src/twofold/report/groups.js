"use strict";
(() => {
  // every file that can go, whether it is on the screen or not: group, path, bytes, whether it is proposed to go, time, hash
  const files = JSON.parse(document.querySelector("#files").textContent);
  const known = JSON.parse(document.querySelector("#known").textContent); // [group, path or id in the index, bytes, time, hash]
  const sheets = [...document.querySelectorAll(".sheet")];
  const page = document.querySelector("#groups");
  const bar = document.querySelector("#bar");
  const store = "twofold-dedup-" + bar.dataset.key;
  const gone = files.map((file) => file[3]);
  const stays = new Map(known.map(([group]) => [group, 1]));
  let count = 0, bytes = 0, sheet = 0, at = -1, cards = [];

  const weighs = (value) => value > 1e9 ? (value / 1e9).toFixed(1) + " GB" : value > 1e6 ? (value / 1e6).toFixed(1) + " MB" : Math.round(value / 1e3) + " kB";
  const empty = new Set();
  const tally = (number, sign) => {
    const [group, , weight] = files[number];
    if (gone[number]) { count += sign; bytes += sign * weight; } else stays.set(group, (stays.get(group) || 0) + sign);
    if (stays.get(group)) empty.delete(group); else empty.add(group);
  };
  const say = () => {
    document.querySelector("#count").textContent = `${count.toLocaleString("en")} of ${files.length.toLocaleString("en")} files go (${weighs(bytes)})`;
    document.querySelector("#export").disabled = empty.size > 0;
    const groups = [...empty].sort((a, b) => a - b).slice(0, 3).join(", ");
    document.querySelector("#warn").textContent = empty.size ? `nothing would be left of group ${groups}${empty.size > 3 ? " and others" : ""}: keep one of each` : "";
    page.querySelectorAll(".group").forEach((section) => section.classList.toggle("empty", empty.has(Number(section.dataset.group))));
  };
  const remember = () => {
    const changed = {};
    gone.forEach((value, number) => { if (value !== files[number][3]) changed[number] = value; });
    try { localStorage.setItem(store, JSON.stringify(changed)); } catch (error) { /* private windows keep nothing */ }
  };
  const dress = (card) => {
    const range = (card.dataset.files || "").split("-").map(Number);
    const away = gone[range[0]] === 1;
    card.classList.toggle("gone", away);
    const button = card.querySelector(".decide");
    button.textContent = away ? "delete" : "keep";
    button.setAttribute("aria-pressed", String(away));
  };
  const decide = (card, away) => {
    if (!card) return;
    const [first, last] = card.dataset.files.split("-").map(Number);
    for (let number = first; number <= (last ?? first); number++) { tally(number, -1); gone[number] = away ? 1 : 0; tally(number, 1); }
    dress(card);
    remember();
    say();
  };
  const go = (place) => {
    at = Math.max(0, Math.min(cards.length - 1, place));
    cards.forEach((card, number) => card.classList.toggle("here", number === at));
    cards[at]?.scrollIntoView({ block: "nearest" });
  };
  const show = (number, place = -1) => {
    sheet = Math.max(0, Math.min(sheets.length - 1, number));
    page.innerHTML = sheets[sheet].textContent; // names in it are escaped: it is our own markup
    cards = [...page.querySelectorAll(".copy")];
    cards.forEach((card, index) => {
      dress(card);
      card.querySelector(".compare")?.addEventListener("click", () => { go(index); compare(card); });
      card.querySelector(".decide").addEventListener("click", () => { go(index); decide(card, !card.classList.contains("gone")); });
    });
    document.querySelectorAll(".turn").forEach((turn) => { turn.hidden = sheets.length < 2; });
    document.querySelectorAll(".where").forEach((where) => { where.textContent = `sheet ${sheet + 1} of ${sheets.length}`; });
    document.querySelectorAll(".before").forEach((button) => { button.disabled = sheet === 0; });
    document.querySelectorAll(".after").forEach((button) => { button.disabled = sheet === sheets.length - 1; });
    at = -1;
    say();
    if (place !== -1) go(place === -2 ? cards.length - 1 : place);
  };
  const turn = (step, place = -1) => { show(sheet + step, place); if (place === -1) scrollTo(0, 0); };
  const move = (step) => {
    if (at + step >= cards.length && sheet < sheets.length - 1) turn(1, 0);
    else if (at + step < 0 && at !== -1 && sheet > 0) turn(-1, -2);
    else go(at + step);
  };
  const jump = (step) => {
    const sections = [...page.querySelectorAll(".group")];
    const now = at < 0 ? -1 : sections.indexOf(cards[at].closest(".group"));
    const next = at < 0 ? 0 : now + step;
    if (next >= sections.length && sheet < sheets.length - 1) return turn(1, 0);
    if (next < 0 && sheet > 0) return turn(-1, 0);
    const section = sections[Math.max(0, Math.min(sections.length - 1, next))];
    go(cards.indexOf(section.querySelector(".copy")));
    section.scrollIntoView({ block: "nearest" });
  };
  // the same marks as data/delimited.py: no formulas in spreadsheets, and blanks at the ends survive
  const marked = (text) => (/^\s|\s$|^'+[=+\-@]|^'(\s.*|.*\s)'$/.test(text) ? `'${text}'` : /^[=+\-@]/.test(text) ? `'${text}` : text);
  const quoted = (name) => {
    const text = marked(name);
    return /[",\r\n]/.test(text) ? '"' + text.replaceAll('"', '""') + '"' : text;
  };
  const save = () => {
    if (empty.size) return;
    const lines = files.map(([group, path, weight, , time, hash], number) => [group, quoted(path), gone[number] ? "delete" : "keep", weight, time, hash].join(","));
    known.forEach(([group, name, weight, time, hash]) => lines.push([group, quoted(name), "keep", weight, time, hash].join(",")));
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob(["group,path,decision,bytes,time,sha256\n" + lines.join("\n") + "\n"], { type: "text/csv" }));
    link.download = "decisions.csv";
    link.click();
    URL.revokeObjectURL(link.href);
  };
  const view = document.querySelector("#view");
  const stage = view.querySelector(".stage");
  let blinking = null, size = 1;
  const mode = (name) => {
    clearInterval(blinking);
    blinking = null;
    stage.dataset.shows = name === "blink" ? "other" : name;
    view.querySelector(".shown").textContent = { kept: "kept", other: "copy", red: "what differs, in red", blink: "kept and copy by turns" }[name];
    if (name === "blink") blinking = setInterval(() => { stage.dataset.shows = stage.dataset.shows === "kept" ? "other" : "kept"; }, 500);
  };
  const compare = (card) => {
    if (!card?.dataset.kept) return;
    for (const name of ["kept", "other", "red"]) view.querySelector("img." + name).src = card.dataset[name];
    size = 1;
    stage.style.setProperty("--size", size);
    mode("red");
    view.showModal();
  };
  const viewing = {
    blink: () => mode(blinking ? "other" : "blink"), red: () => mode(stage.dataset.shows === "red" ? "kept" : "red"),
    nearer: () => { size = Math.min(8, size * 1.5); stage.style.setProperty("--size", size); },
    farther: () => { size = Math.max(1, size / 1.5); stage.style.setProperty("--size", size); },
    close: () => view.close(),
  };
  view.querySelectorAll("button").forEach((button) => button.addEventListener("click", () => viewing[button.dataset.do]()));
  view.addEventListener("close", () => { clearInterval(blinking); blinking = null; });
  view.addEventListener("keydown", (event) => {
    const name = { b: "blink", x: "red", "+": "nearer", "=": "nearer", "-": "farther" }[event.key];
    if (name) { event.preventDefault(); viewing[name](); }
  });
  const keys = {
    j: () => move(1), k: () => move(-1), n: () => jump(1), p: () => jump(-1), e: save, x: () => compare(cards[at]),
    d: () => { decide(cards[at], true); move(1); }, s: () => { decide(cards[at], false); move(1); },
    " ": () => decide(cards[at], !cards[at]?.classList.contains("gone")),
    ArrowRight: () => turn(1), ArrowLeft: () => turn(-1),
  };
  document.addEventListener("keydown", (event) => {
    if (view.open || event.ctrlKey || event.metaKey || event.altKey || !keys[event.key]) return;
    if (event.key === " " && event.target.tagName === "BUTTON") return; // the button does it
    event.preventDefault();
    keys[event.key]();
  });
  document.querySelector("#export").addEventListener("click", save);
  document.querySelectorAll(".before").forEach((button) => button.addEventListener("click", () => turn(-1)));
  document.querySelectorAll(".after").forEach((button) => button.addEventListener("click", () => turn(1)));
  try { Object.entries(JSON.parse(localStorage.getItem(store)) || {}).forEach(([number, value]) => { if (number in gone) gone[number] = value; }); } catch (error) { /* as above */ }
  files.forEach((file, number) => tally(number, 1));
  show(0);
})();
