"use strict";

// One image, in every chosen arm, then before the chosen classifiers; `comparer` and `sortable` are report.js's.
{
  const part = (id) => document.getElementById(id);
  const chosen = (name) => [...document.querySelectorAll(`input[name=${name}]:checked:enabled`)];
  const most = Number(document.body.dataset.megabytes);
  const long = 20;  // seconds from which on waiting is announced
  let file = null, latest = 0, asked = new AbortController(), ticking = 0;

  function element(tag, ...children) {
    const made = document.createElement(tag);
    made.append(...children);
    return made;
  }

  async function ask(path, body) {
    const headers = { "Content-Type": "application/octet-stream" };
    const answer = await fetch(path, { method: "POST", headers, body, signal: asked.signal }).catch(() => {
      throw new Error("nothing answers; is `leukosr app` still running?");
    });
    if (!(answer.headers.get("Content-Type") || "").startsWith("application/json")) {
      throw new Error(`leukosr app failed (${answer.status}); its terminal says why`);
    }
    const said = await answer.json();
    if (!answer.ok) throw new Error(said.sentence);
    return said;
  }

  function duration(seconds) {
    return seconds < 90 ? `${Math.round(seconds)} s` : `${Math.round(seconds / 60)} min`;
  }

  // count the seconds of a step, of about so many where that is known
  function tick(about) {
    const began = Date.now();
    const say = () => {
      const passed = duration((Date.now() - began) / 1000);
      part("elapsed").textContent = about >= 1 ? `${passed} of about ${duration(about)}` : passed;
    };
    clearInterval(ticking);
    say();
    ticking = setInterval(say, 1000);
  }

  // end what is under way: the server gives up what nobody waits for
  function end(status) {
    latest++;
    asked.abort();
    clearInterval(ticking);
    part("stop").hidden = true;
    part("status").textContent = status;
    part("long").textContent = part("elapsed").textContent = "";
  }

  function announce(seconds, size) {
    const total = Object.values(seconds).reduce((sum, each) => sum + each, 0);
    if (total < long) return;
    const original = chosen("original")[0].value === "true" ? "" : "; if the image is an original, say so above";
    part("long").textContent = `Enlarging ${size} pixels takes about ${duration(total)} on this machine. For less, stop, and `
      + `choose fewer arms or cut out a smaller image${original}.`;
  }

  async function look() {
    end("");
    asked = new AbortController();
    const mine = latest, arms = chosen("arm"), experiments = chosen("experiment");
    const steps = 2 + arms.length + experiments.length, began = Date.now();
    let done = 0;
    // what the server says; undefined where it refuses, which is shown, or where another image has been dropped since
    async function step(label, path, body, about) {
      if (mine !== latest) return undefined;
      part("status").textContent = `${done++} of ${steps} done, now ${label} …`;
      part("stop").hidden = false;
      tick(about);
      try {
        const said = await ask(path, body);
        return mine === latest ? said : undefined;
      } catch (error) {
        if (mine === latest) part("refused").append(element("li", `${label}: ${error.message}`));
        return undefined;
      }
    }
    part("result").hidden = true;
    part("refused").replaceChildren();
    if (file.size > most * 1e6) {
      part("refused").append(element("li", `${file.name} has more than the ${most} MB that are taken here`));
      return;
    }
    const taken = await step(file.name, `images?original=${chosen("original")[0].value}&file=${encodeURIComponent(file.name)}`, file);
    if (mine !== latest) return;
    if (!taken) {
      end("");
      return;
    }
    const shown = [], answers = [], named = (box) => `name=${encodeURIComponent(box.value)}`;
    const path = `images/${taken.id}`, all = [...arms, ...experiments].map(named).join("&");
    const seconds = await step("how long it takes", `${path}/seconds?${all}`) || {};
    if (mine === latest) announce(seconds, taken.size);
    for (const box of arms) {
      const said = await step(box.dataset.label, `${path}/version?${named(box)}`, undefined, seconds[box.value]);
      if (said) shown.push({ name: box.value, label: box.dataset.label, ...said });
    }
    for (const box of experiments) {
      const said = await step(box.dataset.label, `${path}/answer?${named(box)}`, undefined, seconds[box.value]);
      if (said) answers.push({ label: box.dataset.label, ...said });
    }
    if (mine !== latest) return;
    const took = ((Date.now() - began) / 1000).toFixed(1);
    end(`${file.name}: ${shown.length} images, ${answers.length} answers in ${took} s`);
    part("result").hidden = false;
    showImages(shown, taken.ratio);
    showAnswers(answers);
    const unlike = (each) => each.unlike.map((text) => ({ of: each.label, text: `unlike the training images: ${text}` }));
    showNotes("notes", [...[...shown, ...answers].flatMap((each) => each.notes), ...shown.flatMap(unlike)]);
    const warned = (each) => each.row.warnings.split("; ").concat(each.no_map).filter(Boolean)
      .map((text) => ({ of: each.label, text }));
    showNotes("warnings", answers.flatMap(warned));
  }

  // each phrase once, behind all that it is about
  function showNotes(list, notes) {
    const about = new Map();
    notes.forEach(({ of, text }) => about.set(text, (about.get(text) || new Set()).add(of)));
    part(list).replaceChildren(...[...about].map(([text, labels]) => element("li", `${[...labels].join("; ")}: ${text}`)));
  }

  function showImages(shown, ratio) {
    part("downloads").hidden = part("images").hidden = !shown.length;
    if (!shown.length) return;
    const stem = file.name.replace(/\.[^.]*$/, "");
    const arms = shown.map((each) => ({ name: each.name, label: `${each.label}, ${each.size}` }));
    const shots = Object.fromEntries(shown.map((each) => [each.name, { src: each.src, facts: "", said: null }]));
    part("images").replaceChildren(part("fresh").content.cloneNode(true));
    const start = [arms[0].name, arms[arms.length - 1].name];
    comparer(part("comparer"), { arms, cells: [{ label: file.name, shots }], start, ratio });
    part("downloads").replaceChildren("PNG: ", ...shown.map((each) => {
      const link = element("a", each.label);
      link.href = each.src;
      link.download = `${stem}-${each.name.replace(/.*\//, "")}.png`;
      return link;
    }));
  }

  function showAnswers(answers) {
    part("answers").hidden = !answers.length;
    if (!answers.length) return;
    const classes = Object.keys(answers[0].row).filter((key) => key.startsWith("p_"));
    const names = ["classifiers", "named", "probability", "sure", "Grad-CAM", ...classes.map((key) => key.slice(2))];
    const rows = answers.map((each) => {
      const sure = { true: "sure", false: "not sure" }[each.row.sure] || "cannot be said";
      const named = each.row.predicted, chances = classes.map((key) => each.row[key].toFixed(3));
      const cells = [named, each.row[`p_${named}`].toFixed(3), sure, heat(each), ...chances];
      const asked = element("th", each.label);
      asked.title = `on the image of ${each.arm}`;
      return element("tr", asked, ...cells.map((cell) => element("td", cell)));
    });
    const head = element("thead", element("tr", ...names.map((name) => element("th", name))));
    const table = element("table", head, element("tbody", ...rows));
    part("table").replaceChildren(table);
    sortable(table);
  }

  function heat(answer) {
    if (!answer.map) return "–";
    const image = new Image();
    image.src = answer.map;
    image.alt = `Grad-CAM of ${answer.row.predicted}, ${answer.label}`;
    return image;
  }

  function take(files) {
    if (!files.length) return;
    file = files[0];
    part("again").disabled = false;
    look();
    if (files.length > 1) part("refused").append(element("li", `one image at a time: ${file.name} is shown`));
  }

  document.querySelectorAll("input[name=original]").forEach((kind) => kind.addEventListener("change", () => {
    const original = chosen("original")[0].value === "true";
    document.querySelectorAll("input[data-original]").forEach((box) => { box.disabled = !original; });
  }));
  part("stop").addEventListener("click", () => end(`stopped: ${file.name}`));
  part("file").addEventListener("change", (event) => take(event.target.files));
  part("form").addEventListener("submit", (event) => { event.preventDefault(); look(); });
  document.addEventListener("dragover", (event) => { event.preventDefault(); part("drop").classList.add("over"); });
  document.addEventListener("dragleave", () => part("drop").classList.remove("over"));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    part("drop").classList.remove("over");
    take(event.dataTransfer.files);
  });
}
