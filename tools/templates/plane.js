"use strict";
// A panel for each layer of each species, drawn once; the slider says up to which snapshot dots are shown.
const data = JSON.parse(document.getElementById("numbers").textContent);
const pick = (id) => document.getElementById(id);
const SIZE = 200, LEFT = 28, TOP = 18, BOTTOM = 18, EDGE = 4; // units of a panel
const last = data.steps.length - 1;
const text = (value) => value.toLocaleString("en").replace("-", "\u2212");

function make(parent, name, attributes, content) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (content !== undefined) element.textContent = content;
  parent.append(element);
  return element;
}

// The colour of a snapshot: straight lines between the stops of the ramp.
const stops = data.ramp.map((hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16)));
const colours = data.steps.map((_, i) => {
  const place = (i / Math.max(1, last)) * (stops.length - 1);
  const low = Math.min(Math.floor(place), stops.length - 2);
  const mixed = stops[low].map((from, c) => Math.round(from + (place - low) * (stops[low + 1][c] - from)));
  return `rgb(${mixed})`;
});

// A frame with ticks; x and y are ranges, at() turns a pair of values into a pair of places.
function frame(row, title, x, y, xTicks, yTicks) {
  const svg = make(row, "svg", { viewBox: `0 0 ${SIZE} ${SIZE}`, role: "img", "aria-label": title });
  const right = SIZE - EDGE, bottom = SIZE - BOTTOM;
  const at = (a, b) => [
    LEFT + ((a - x[0]) / (x[1] - x[0])) * (right - LEFT),
    bottom - ((b - y[0]) / (y[1] - y[0])) * (bottom - TOP),
  ];
  make(svg, "rect", { class: "frame", x: LEFT, y: TOP, width: right - LEFT, height: bottom - TOP });
  for (const [value, label] of yTicks) {
    const place = at(x[0], value)[1];
    make(svg, "path", { class: "grid", d: `M${LEFT},${place}H${right}` });
    make(svg, "text", { x: LEFT - 4, y: place + 4, "text-anchor": "end" }, label);
  }
  for (const [value, label] of xTicks) {
    const place = at(value, y[0])[0];
    make(svg, "path", { class: "grid", d: `M${place},${TOP}V${bottom}` });
    if (label) make(svg, "text", { x: Math.min(place, right - 8), y: SIZE - 5, "text-anchor": "middle" }, label);
  }
  make(svg, "text", { class: "name", x: LEFT, y: 12 }, title);
  return { svg, at, now: make(svg, "text", { class: "now", x: right, y: 12, "text-anchor": "end" }, "") };
}

const line = (points) => "M" + points.map((p) => p.map((v) => v.toFixed(1)).join(",")).join("L");

function dotted(panel) {
  panel.track = make(panel.svg, "path", { class: "track" });
  const group = make(panel.svg, "g", {});
  panel.dots = colours.map((fill) => make(group, "circle", { r: 2, fill }));
  panel.head = make(panel.svg, "circle", { class: "head", r: 4.5 });
  panel.svg.addEventListener("pointermove", (event) => point(panel, event));
  panel.svg.addEventListener("pointerdown", (event) => point(panel, event));
  panel.svg.addEventListener("pointerleave", () => (pick("tip").hidden = true));
  return panel;
}

const even = [0, 2, 4, 6, 8, 10, 12].filter((bit) => bit <= data.ceiling).map((bit) => [bit, String(bit)]);

function planePanel(row, run, layer) {
  const top = data.ceiling * 1.04;
  const panel = frame(row, run.layers[layer], [0, top], [0, top], even, even);
  const [x, y] = panel.at(data.ceiling, data.ceiling), [left, bottom] = panel.at(0, 0);
  make(panel.svg, "path", { class: "diagonal", d: `M${left},${bottom}L${x},${y}` });
  make(panel.svg, "path", { class: "ceiling", d: `M${left},${y}H${SIZE - EDGE}M${x},${bottom}V${TOP}` });
  const paper = run.paper[run.layers[layer]];
  if (paper !== undefined) {
    const place = panel.at(paper, 0)[0];
    panel.paper = make(panel.svg, "path", { class: "paper", d: `M${place},${bottom - 7}l4,7h-8Z` });
  }
  panel.layer = layer;
  panel.points = (kernel) => {
    const [into, out] = panel.run.bits[kernel][layer];
    return into.map((bits, i) => panel.at(bits / 1000, out[i] / 1000));
  };
  panel.says = (i, kernel) => {
    const [into, out] = panel.run.bits[kernel][layer];
    return `step ${text(data.steps[i])}\nI(X;${run.layers[layer]}) ${(into[i] / 1000).toFixed(2)} bit\nI(${run.layers[layer]};X\u2032) ${(out[i] / 1000).toFixed(2)} bit`;
  };
  panel.short = (i, kernel) => (panel.run.bits[kernel][layer][0][i] / 1000).toFixed(2);
  return dotted(panel);
}

function lossPanel(row, run) {
  const all = run.test.concat(run.train), low = Math.min(...all) / 1000, high = Math.max(...all) / 1000;
  const gap = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5].find((step) => (high - low) / step <= 5) ?? 10, ticks = [];
  for (let i = Math.ceil(low / gap); i <= high / gap; i++) ticks.push([i * gap, text(Number((i * gap).toFixed(2)))]);
  const margin = 0.05 * (high - low) || 1;
  const times = data.ticks.map(([place, step], i) => [place, i % 2 ? "" : step >= 1000 ? `${step / 1000}k` : String(step)]);
  const panel = frame(row, "log\u2081\u2080 loss", [0, last], [low - margin, high + margin], times, ticks);
  panel.points = () => panel.run.test.map((value, i) => panel.at(i, value / 1000));
  panel.batches = make(panel.svg, "g", { fill: "currentColor", opacity: 0.25 });
  panel.says = (i) =>
    `step ${text(data.steps[i])}\ntest ${text(panel.run.test[i] / 1000)}\nbatch ${text(panel.run.train[i] / 1000)}${run.unit && `\n${run.unit}`}`;
  panel.short = (i) => (panel.run.test[i] / 1000).toFixed(2).replace("-", "\u2212");
  return dotted(panel);
}

const panels = [];
for (const article of document.querySelectorAll("article")) {
  const run = data.runs.find((each) => each.species === article.dataset.species);
  const row = article.querySelector(".panels-row");
  const own = run.layers.map((_, layer) => planePanel(row, run, layer));
  for (const panel of [...own, lossPanel(row, run)]) panels.push(Object.assign(panel, { run, species: run.species }));
}

const kernel = () => Number(pick("kernel").value);

function draw() {
  const seed = Number(pick("seed").value);
  for (const panel of panels) {
    panel.run = data.runs.find((run) => run.species === panel.species && run.seed === seed) ?? panel.run;
    panel.places = panel.points(kernel());
    panel.track.setAttribute("d", line(panel.places));
    panel.places.forEach(([x, y], i) => {
      panel.dots[i].setAttribute("cx", x.toFixed(1));
      panel.dots[i].setAttribute("cy", y.toFixed(1));
    });
    panel.paper?.setAttribute("visibility", kernel() === 0 ? "visible" : "hidden");
    if (panel.batches) {
      panel.batches.replaceChildren();
      panel.run.train.forEach((value, i) => {
        const [x, y] = panel.at(i, value / 1000);
        make(panel.batches, "circle", { r: 0.9, cx: x.toFixed(1), cy: y.toFixed(1) });
      });
    }
  }
  move();
}

function move() {
  const time = Number(pick("time").value);
  pick("step").textContent = `step ${text(data.steps[time])}`;
  for (const panel of panels) {
    panel.dots.forEach((dot, i) => dot.setAttribute("visibility", i <= time ? "visible" : "hidden"));
    panel.head.setAttribute("cx", panel.places[time][0]);
    panel.head.setAttribute("cy", panel.places[time][1]);
    panel.now.textContent = panel.short(time, kernel());
  }
}

// The nearest dot that is shown speaks.
function point(panel, event) {
  const box = panel.svg.getBoundingClientRect(), scale = SIZE / box.width, time = Number(pick("time").value);
  const x = (event.clientX - box.left) * scale, y = (event.clientY - box.top) * scale;
  let best = 0, least = Infinity;
  panel.places.slice(0, time + 1).forEach(([a, b], i) => {
    const distance = (a - x) ** 2 + (b - y) ** 2;
    if (distance < least) [best, least] = [i, distance];
  });
  const tip = pick("tip");
  tip.hidden = least > 900;
  if (tip.hidden) return;
  tip.textContent = panel.says(best, kernel());
  const left = box.left + panel.places[best][0] / scale, wide = document.documentElement.clientWidth;
  tip.style.left = `${scrollX + Math.max(4, Math.min(left + 10, wide - tip.offsetWidth - 4))}px`;
  tip.style.top = `${scrollY + box.top + panel.places[best][1] / scale + 12}px`;
}

function options(select, labels, values) {
  select.replaceChildren(...labels.map((label, i) => new Option(label, values[i])));
  select.addEventListener("change", draw);
}

const seeds = [...new Set(data.runs.map((run) => run.seed))];
options(pick("kernel"), data.kernels, data.kernels.map((_, i) => i));
options(pick("seed"), seeds.map(String), seeds);
pick("seeds").hidden = seeds.length < 2;
pick("time").max = last;
pick("time").value = last;
pick("time").addEventListener("input", move);
document.querySelector(".player").hidden = false;

let playing = 0;
function stop() {
  cancelAnimationFrame(playing);
  playing = 0;
  pick("play").textContent = "\u25b6";
}
pick("play").addEventListener("click", () => {
  if (playing) return stop();
  const start = Number(pick("time").value) === last ? 0 : Number(pick("time").value), begun = performance.now();
  const tick = (now) => {
    const place = Math.min(last, start + Math.round(((now - begun) / 9000) * last));
    if (place !== Number(pick("time").value)) {
      pick("time").value = place;
      move();
    }
    if (place === last) return stop();
    playing = requestAnimationFrame(tick);
  };
  pick("play").textContent = "\u275a\u275a";
  playing = requestAnimationFrame(tick);
});
draw();
