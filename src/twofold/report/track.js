"use strict";
(() => {
  const film = document.getElementById("film"), chart = document.getElementById("chart");
  const now = document.getElementById("now"), at = document.getElementById("at");
  const seconds = Number(chart.dataset.seconds), width = chart.viewBox.baseVal.width;
  const show = () => {
    const x = Math.min(film.currentTime / seconds, 1) * width;
    now.setAttribute("x1", x);
    now.setAttribute("x2", x);
    at.textContent = film.currentTime.toFixed(1) + " s";
    if (!film.paused) requestAnimationFrame(show);
  };
  const go = (event) => {
    const box = chart.getBoundingClientRect();
    film.currentTime = Math.min(Math.max((event.clientX - box.left) / box.width, 0), 1) * seconds;
  };
  for (const name of ["timeupdate", "seeked", "play", "loadedmetadata"]) film.addEventListener(name, show);
  chart.addEventListener("pointerdown", (event) => { chart.setPointerCapture(event.pointerId); go(event); });
  chart.addEventListener("pointermove", (event) => { if (event.buttons) go(event); });
  for (const button of document.querySelectorAll("button.go")) {
    button.addEventListener("click", () => { film.currentTime = Number(button.dataset.seconds); film.scrollIntoView({ block: "nearest" }); });
  }
  document.addEventListener("keydown", (event) => {
    if (event.target === film || event.target.tagName === "BUTTON") return;
    if (event.key === " ") { film.paused ? film.play() : film.pause(); event.preventDefault(); }
    if (event.key === "ArrowLeft") film.currentTime -= 0.04;
    if (event.key === "ArrowRight") film.currentTime += 0.04;
  });
})();
