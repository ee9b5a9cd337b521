"use strict";

// ---- tables: a click on a column's head sorts its rows, a second one the other way round
function sortable(table) {
  const heads = [...table.tHead.rows[table.tHead.rows.length - 1].cells];
  const rows = [...table.tBodies[0].rows];
  if (rows.length < 2) return;
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.title = "sort";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      heads.forEach((each) => each.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const sorted = [...table.tBodies[0].rows].sort((a, b) => (down ? -1 : 1) * inOrder(a.cells[column], b.cells[column]));
      table.tBodies[0].append(...sorted);
    });
  });
}

function inOrder(a, b) {
  const [one, other] = [a.textContent.trim(), b.textContent.trim()];
  const [first, second] = [leading(one), leading(other)];
  if (Number.isNaN(first) && Number.isNaN(second)) return one.localeCompare(other);
  if (Number.isNaN(first) || Number.isNaN(second)) return Number.isNaN(first) ? 1 : -1;
  return first - second;
}

function leading(text) {  // of "9.5 ± 1.2", "−1.2 (−2.7 … +0.3)", "< 0.0001", "1,234"
  return parseFloat(text.replace(/^<\s*/, "").replace("−", "-").replace(/,(?=\d{3})/g, ""));
}

document.querySelectorAll(".scroll table").forEach(sortable);

// ---- images: one cell in two arms, under a divider or side by side
function comparer(box, data) {
  const part = (name) => box.querySelector(`[data-part="${name}"]`);
  const cell = part("cell"), arms = [part("first"), part("second")], views = part("views");
  const images = [...views.querySelectorAll("img")], facts = [...views.querySelectorAll("figcaption")];
  const divider = part("divider"), zoom = part("zoom"), beside = part("beside"), disagree = part("disagree");
  const centre = { x: 0.5, y: 0.5 };
  const option = (text, value) => new Option(text, value);
  const said = (shown, side) => shown.shots[arms[side].value].said;

  arms.forEach((list) => list.append(...data.arms.map((each) => option(each.label, each.name))));
  [arms[0].value, arms[1].value] = data.start;

  function list() {
    const kept = data.cells.map((_, index) => index).filter((index) => {
      return !disagree || !disagree.checked || said(data.cells[index], 0) !== said(data.cells[index], 1);
    });
    const before = cell.value;
    cell.replaceChildren(...kept.map((index) => option(data.cells[index].label, index)));
    if (kept.includes(Number(before)) && before !== "") cell.value = before;
    cell.disabled = kept.length === 0;
    part("count").textContent = kept.length
      ? `${kept.length} of ${data.cells.length} cells`
      : `The classifiers of the two sides name all ${data.cells.length} cells alike, so there is none to show.`;
    show();
  }

  function show() {
    const shown = data.cells[cell.value];
    views.hidden = shown === undefined;
    if (shown === undefined) return;
    images.forEach((image, side) => {
      const shot = shown.shots[arms[side].value], label = arms[side].selectedOptions[0].textContent;
      image.src = shot.src;
      image.alt = `${shown.label}, ${label}`;
      facts[side].textContent = [label, shot.facts].filter(Boolean).join(": ");
    });
    views.style.setProperty("--ratio", data.ratio);
    place();
  }

  function place() {
    const scale = Number(zoom.value), reach = 0.5 / scale;
    for (const axis of ["x", "y"]) centre[axis] = Math.min(1 - reach, Math.max(reach, centre[axis]));
    const move = `scale(${scale}) translate(${(0.5 - centre.x) * 100}%, ${(0.5 - centre.y) * 100}%)`;
    images.forEach((image) => { image.style.transform = move; });
    views.style.setProperty("--divider", `${divider.value}%`);
    views.classList.toggle("beside", beside.checked);
    divider.disabled = beside.checked;
  }

  function step(list, by) {
    list.selectedIndex = (list.selectedIndex + by + list.length) % list.length;
    show();
  }

  function dragged(event) {
    if (!event.buttons) return;
    const frame = images[0].parentElement.getBoundingClientRect();
    if (Number(zoom.value) > 1) {
      centre.x -= event.movementX / frame.width / zoom.value;
      centre.y -= event.movementY / frame.height / zoom.value;
    } else if (!beside.checked) {
      divider.value = (100 * (event.clientX - frame.left)) / frame.width;
    }
    place();
  }

  const keys = {
    ArrowLeft: () => { divider.value = Number(divider.value) - 2; place(); },
    ArrowRight: () => { divider.value = Number(divider.value) + 2; place(); },
    ArrowUp: () => step(cell, -1), ArrowDown: () => step(cell, 1),
    "+": () => { zoom.value = Number(zoom.value) + 1; place(); },
    "-": () => { zoom.value = Number(zoom.value) - 1; place(); },
    s: () => { beside.checked = !beside.checked; place(); },
    x: () => { [arms[0].value, arms[1].value] = [arms[1].value, arms[0].value]; list(); },
  };
  views.addEventListener("keydown", (event) => {
    const action = keys[event.key];
    if (!action || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    action();
  });
  views.addEventListener("pointerdown", (event) => { views.setPointerCapture(event.pointerId); dragged(event); });
  views.addEventListener("pointermove", dragged);
  cell.addEventListener("change", show);
  arms.forEach((each) => each.addEventListener("change", list));
  if (disagree) disagree.addEventListener("change", list);
  [divider, zoom, beside].forEach((each) => each.addEventListener("input", place));
  box.hidden = false;
  list();
}

const cells = document.getElementById("cells");
if (cells) comparer(document.getElementById("comparer"), JSON.parse(cells.textContent));
