"use strict";
// Two versions of a picture on top of each other; the range input says where the left one ends.
const stages = [...document.querySelectorAll(".stage")];
const pick = (id) => document.getElementById(id);
const controls = document.querySelector(".controls");

function show() {
  const chosen = Number(pick("picture")?.value ?? 0);
  stages.forEach((stage, number) => {
    stage.hidden = number !== chosen;
    for (const version of stage.querySelectorAll(".version")) {
      const left = version.dataset.codec === pick("left").value;
      const right = version.dataset.codec === pick("right").value;
      version.hidden = !(left || right);
      version.classList.toggle("on", left || right);
      version.classList.toggle("over-left", left && !right);
    }
  });
  measure();
}

// The handle spans the picture, not the caption below it.
function measure() {
  for (const stage of stages) {
    const image = stage.querySelector(".version:not([hidden]) img");
    if (image) stage.style.setProperty("--caption", `${stage.clientHeight - image.clientHeight}px`);
  }
}

document.documentElement.classList.add("live");
controls.hidden = false;
controls.addEventListener("change", show);
addEventListener("resize", measure);
for (const stage of stages) {
  const range = stage.querySelector("input");
  range.hidden = false;
  range.addEventListener("input", () => stage.style.setProperty("--cut", range.value));
}
show();
