"use strict";
(() => {
  const frame = document.querySelector("#frame"), stage = document.querySelector("#stage");
  const after = stage.querySelector(".after"), map = document.querySelector("#map");
  const handle = document.querySelector("#handle"), range = document.querySelector("#swipe");
  const show = document.querySelector("#show"), blink = document.querySelector("#blink");
  const MOST = 24; // times; a pixel of the overview is then as large as a fingertip
  let line = 0.5, zoom = 1, x = 0, y = 0, timer = 0; // line: share of the frame; x, y: of the stage, in its own size

  const draw = () => {
    x = Math.min(0, Math.max(1 - zoom, x));
    y = Math.min(0, Math.max(1 - zoom, y));
    stage.style.transform = `translate(${x * frame.clientWidth}px, ${y * frame.clientHeight}px) scale(${zoom})`;
    const inside = Math.min(1, Math.max(0, (line - x) / zoom));
    after.style.clipPath = `inset(0 0 0 ${inside * 100}%)`;
    handle.style.left = `${line * 100}%`;
    range.value = line * 1000;
    frame.classList.toggle("moves", zoom > 1);
    frame.classList.toggle("close", zoom > 3);
  };
  const slide = (share) => { line = Math.min(1, Math.max(0, share)); draw(); };
  const place = (event) => {
    const box = frame.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
  };
  const scale = (factor, px = 0.5, py = 0.5) => {
    const next = Math.min(MOST, Math.max(1, zoom * factor));
    x = px - (px - x) * next / zoom;
    y = py - (py - y) * next / zoom;
    zoom = next;
    draw();
  };
  const whole = () => { zoom = 1; x = y = 0; draw(); };

  let drag = null;
  frame.addEventListener("pointerdown", (event) => {
    const [px, py] = place(event);
    const slides = zoom === 1 || event.target === handle;
    drag = slides ? { slides } : { slides, px, py, x, y };
    frame.setPointerCapture(event.pointerId);
    if (slides) slide(px);
  });
  frame.addEventListener("pointermove", (event) => {
    if (!drag) return;
    const [px, py] = place(event);
    if (drag.slides) { slide(px); return; }
    x = drag.x + px - drag.px;
    y = drag.y + py - drag.py;
    draw();
  });
  for (const end of ["pointerup", "pointercancel"]) frame.addEventListener(end, () => { drag = null; });
  frame.addEventListener("wheel", (event) => {
    event.preventDefault();
    scale(event.deltaY < 0 ? 1.25 : 0.8, ...place(event));
  }, { passive: false });
  range.addEventListener("input", () => slide(range.value / 1000));
  show.addEventListener("change", () => map.classList.toggle("off", !show.checked));
  const flip = () => { show.checked = !show.checked; map.classList.toggle("off", !show.checked); };
  const toggle = () => {
    if (timer) { clearInterval(timer); timer = 0; slide(0.5); } else timer = setInterval(() => slide(line > 0.5 ? 0 : 1), 700);
    blink.setAttribute("aria-pressed", String(Boolean(timer)));
  };
  blink.addEventListener("click", toggle);
  document.querySelector("#in").addEventListener("click", () => scale(1.6));
  document.querySelector("#out").addEventListener("click", () => scale(1 / 1.6));
  document.querySelector("#whole").addEventListener("click", whole);
  document.addEventListener("keydown", (event) => {
    if (event.target.tagName === "INPUT" || event.ctrlKey || event.metaKey || event.altKey) return;
    const does = { ArrowLeft: () => slide(line - 0.05), ArrowRight: () => slide(line + 0.05), m: flip, b: toggle,
      "+": () => scale(1.6), "-": () => scale(1 / 1.6), 0: whole }[event.key];
    if (does) { event.preventDefault(); does(); }
  });
  document.querySelectorAll("[data-box]").forEach((row) => row.querySelector(".go").addEventListener("click", () => {
    const [top, left, bottom, right] = row.dataset.box.split(",").map(Number);
    const width = Number(frame.dataset.width), height = Number(frame.dataset.height);
    zoom = Math.min(MOST, Math.max(1, 0.4 / Math.max((right - left) / width, (bottom - top) / height)));
    x = 0.5 - zoom * (left + right) / 2 / width;
    y = 0.5 - zoom * (top + bottom) / 2 / height;
    draw();
    frame.scrollIntoView({ behavior: "smooth", block: "center" });
  }));
  window.addEventListener("resize", draw);
  draw();
})();
