"use strict";
const all = (selector, root = document) => [...root.querySelectorAll(selector)];

// Light or dark: the system's choice until the reader makes one.
const theme = document.getElementById("theme");
const show = (name) => {
  document.documentElement.dataset.theme = name;
  theme.textContent = name === "dark" ? "Light" : "Dark";
};
const system = matchMedia("(prefers-color-scheme: dark)");
let chosen = null;
const follow = () => show(chosen ?? (system.matches ? "dark" : "light"));
system.addEventListener("change", follow);
theme.addEventListener("click", () => {
  chosen = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
  follow();
});
follow();

// Before and after: a range input, so keys and screen readers work; a finger may also land anywhere.
for (const slider of all(".slider")) {
  const input = slider.querySelector("input");
  const move = () => slider.style.setProperty("--at", `${input.value}%`);
  const point = (event) => {
    const box = slider.getBoundingClientRect();
    input.value = Math.round((100 * (event.clientX - box.left)) / box.width);
    move();
  };
  input.addEventListener("input", move);
  slider.addEventListener("pointerdown", point);
  slider.addEventListener("pointermove", (event) => event.buttons && point(event));
  move();
}

// Two clips in step: the first one leads, the other follows within a frame.
for (const players of all(".players")) {
  const [lead, other] = all("video", players);
  const play = players.querySelector(".play");
  const seek = players.querySelector(".seek");
  const sound = players.querySelector(".sound");
  const apart = 0.045;
  const align = () => {
    if (Math.abs(other.currentTime - lead.currentTime) > apart) other.currentTime = lead.currentTime;
  };
  const label = () => {
    play.textContent = lead.paused ? "Play" : "Pause";
    play.setAttribute("aria-pressed", String(!lead.paused));
  };
  const start = () => {
    align();
    Promise.all([lead.play(), other.play()]).catch(() => label());
  };
  const stop = () => {
    lead.pause();
    other.pause();
    align();
  };
  const tick = () => {
    if (lead.paused) return;
    align();
    seek.value = Math.round((1000 * lead.currentTime) / (lead.duration || 1));
    requestAnimationFrame(tick);
  };
  play.addEventListener("click", () => (lead.paused ? start() : stop()));
  seek.addEventListener("input", () => {
    lead.currentTime = (seek.value / 1000) * (lead.duration || 0);
    other.currentTime = lead.currentTime;
  });
  lead.addEventListener("play", () => (label(), tick()));
  lead.addEventListener("pause", label);
  lead.addEventListener("ended", () => {
    lead.currentTime = other.currentTime = 0;
    start();
  });
  sound.addEventListener("click", () => {
    lead.muted = !lead.muted;
    sound.textContent = lead.muted ? "Sound off" : "Sound on";
    sound.setAttribute("aria-pressed", String(!lead.muted));
  });
}

// A picture in large; left and right lead to its neighbours.
const box = document.getElementById("box");
const pictures = all(".zoom img");
let at = 0;
const enlarge = (index) => {
  at = (index + pictures.length) % pictures.length;
  const img = pictures[at];
  const section = img.closest("section").querySelector("h2").textContent;
  const large = box.querySelector("img");
  large.src = img.src;
  large.alt = img.alt;
  large.style.imageRendering = img.closest(".crisp") ? "pixelated" : "auto";
  box.querySelector("p").textContent = `${section}: ${img.alt}`;
  if (!box.open) box.showModal();
};
pictures.forEach((img, index) => img.parentElement.addEventListener("click", () => enlarge(index)));
box.addEventListener("click", ({ target }) => {
  if (target.className === "step") enlarge(at + Number(target.value));
  else if (target.tagName !== "IMG") box.close();
});
box.addEventListener("keydown", (event) => {
  if (event.key === "ArrowRight") enlarge(at + 1);
  if (event.key === "ArrowLeft") enlarge(at - 1);
});
