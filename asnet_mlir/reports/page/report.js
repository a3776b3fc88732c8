"use strict";
// Draws the charts and the tables of results from the JSON in #data.  Text from the store reaches
// the page as text nodes and attribute values only.
(() => {
  const GROUPS = JSON.parse(document.getElementById("data").textContent);
  const SVG = "http://www.w3.org/2000/svg"; // a name, nothing is loaded from there
  const ROWS = 50;
  const tooltip = document.getElementById("tooltip");

  function element(name, attributes = {}, ...children) {
    const node = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) {
      if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
      else if (value !== false && value != null) node.setAttribute(key, value === true ? "" : value);
    }
    node.append(...children);
    return node;
  }

  function svg(name, attributes = {}, ...children) {
    const node = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    node.append(...children);
    return node;
  }

  // Figures of a group's metric; one that is infinite is null.
  const shown = (group, value) => {
    if (value === null) return "infinite";
    const text = group.metric.unit ? (group.metric.factor * value).toFixed(2) : String(Number(value.toPrecision(4)));
    return group.metric.unit ? `${text} ${group.metric.unit}` : text;
  };
  const figure = (group, point) => group.metric.factor * point.value;
  const drawable = (point) => point.value !== null;
  const inTitle = { "%": " in per cent", dB: " in dB", "": "" };
  const number = (value) =>
    value.toLocaleString("en", { maximumSignificantDigits: value < 1000 ? 4 : 6 });
  const costNames = (group) => Object.keys(group.axes).filter((name) => group.fronts[name]);

  function describe(group, point) {
    const lines = [point.label, shown(group, point.value)];
    if (point.interval) lines[1] += ` [${point.interval.map((end) => shown(group, end)).join(" .. ")}]`;
    if (group.exact !== null && drawable(point) && drawable(group.points[group.exact])) {
      const change = figure(group, point) - figure(group, group.points[group.exact]);
      const size = group.metric.unit ? Math.abs(change).toFixed(2) : number(Math.abs(change));
      const sign = Number(size) === 0 ? "" : change > 0 ? "+" : "−";
      const points = { "%": " points", dB: " dB", "": "" }[group.metric.unit];
      lines[1] += ` (${sign}${size}${points} against exact)`;
    }
    if (point.difference && point.difference.largest_error !== 0) {
      const { snr, equal_answers: equal } = point.difference;
      if (snr !== null) lines.push(`SNR against exact ${snr.toFixed(1)} dB, equal answers ${(100 * equal).toFixed(2)} %`);
    }
    for (const name of costNames(group)) {
      const label = name === "steps" ? "" : `${name} `, ends = point.spread?.[name];
      const range = ends ? ` [${number(ends[0])} .. ${number(ends[1])}]` : "";
      if (name in point.costs) lines.push(`${label}${number(point.costs[name])} ${group.units[name]}${range}`);
    }
    if (point.stopped) {
      lines.push(`stopped early after ${point.samples} samples: not ${shown(group, point.stopped.bound)}`
        + ` with a confidence of ${point.stopped.confidence}`);
    }
    return lines.join("\n");
  }

  // -- charts --------------------------------------------------------------------------------

  // About `count` round numbers from low to high.
  function ticks(low, high, count) {
    const raw = (high - low) / count, power = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 5, 10].find((factor) => factor * power >= raw) * power;
    const found = [];
    for (let k = Math.ceil(low / step - 1e-9); k * step <= high + step * 1e-9; k++) found.push(k * step + 0); // no -0
    return found;
  }

  // The least room above and below figures.
  const least = (group) => (group.metric.unit ? 0.1 : 1e-9);

  function padded(values, share, least) {
    const low = Math.min(...values), high = Math.max(...values);
    const room = Math.max((high - low) * share, least);
    return [low - room, high + room];
  }

  const MARKS = [
    (x, y, r) => svg("circle", { cx: x, cy: y, r }),
    (x, y, r) => svg("rect", { x: x - r, y: y - r, width: 2 * r, height: 2 * r }),
    (x, y, r) => svg("path", { d: `M${x} ${y - r * 1.2}l${r * 1.2} ${r * 2.1}h${-2.4 * r}z` }),
    (x, y, r) => svg("path", { d: `M${x} ${y - r * 1.4}l${r * 1.4} ${r * 1.4}l${-r * 1.4} ${r * 1.4}l${-r * 1.4} ${-r * 1.4}z` }),
    (x, y, r) => svg("path", { d: `M${x} ${y + r * 1.2}l${r * 1.2} ${-r * 2.1}h${-2.4 * r}z` }),
  ];

  function mark(index, x, y, r, attributes) {
    const node = MARKS[index % MARKS.length](x, y, r);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    return node;
  }

  // A chart of `width`: axes, then what `draw` adds.  Its `spots` can be pointed at, or visited
  // with the arrow keys: {x, y, text, row} in pixels, ordered by series and x.
  function chart(holder, options, draw) {
    const figure = element("figure", { class: "chart" });
    holder.append(figure);
    let drawn = 0;
    function render() {
      const width = Math.floor(figure.clientWidth || holder.clientWidth || 640);
      if (width === drawn || width < 50) return;
      drawn = width;
      figure.replaceChildren();
      const height = Math.round(Math.min(420, Math.max(240, width * 0.46)));
      const box = { left: 52, right: width - 12, top: 28, bottom: height - 42 };
      const x = (v) => box.left + (v - options.x[0]) / (options.x[1] - options.x[0]) * (box.right - box.left);
      const y = (v) => box.bottom - (v - options.y[0]) / (options.y[1] - options.y[0]) * (box.bottom - box.top);
      const root = svg("svg", {
        class: "plot", viewBox: `0 0 ${width} ${height}`, role: "img", tabindex: 0,
        "aria-label": `${options.title}; arrow keys go through the points`,
      });
      for (const value of ticks(...options.y, height / 55)) {
        root.append(svg("line", { class: "grid", x1: box.left, x2: box.right, y1: y(value), y2: y(value) }));
        root.append(svg("text", { x: box.left - 7, y: y(value) + 4, "text-anchor": "end" }, number(value)));
      }
      for (const value of ticks(...options.x, width / 75)) {
        if (options.whole && value % 1) continue;
        root.append(svg("line", { class: "grid", x1: x(value), x2: x(value), y1: box.bottom, y2: box.bottom + 4 }));
        root.append(svg("text", { x: x(value), y: box.bottom + 18, "text-anchor": "middle" }, number(value)));
      }
      root.append(svg("text", { x: box.right, y: box.bottom + 36, "text-anchor": "end" }, options.xTitle));
      if (options.legend) figure.append(options.legend());
      figure.append(root);
      const spots = [];
      draw(root, x, y, spots, box);
      interact(root, spots, width);
    }
    render();
    new ResizeObserver(render).observe(holder);
  }

  function interact(root, spots, width) {
    const cursor = svg("circle", { class: "cursor", r: 8, visibility: "hidden" });
    root.append(cursor);
    let at = -1;
    function show(index) {
      at = index;
      const spot = spots[index], area = root.getBoundingClientRect(), scale = area.width / width;
      cursor.setAttribute("cx", spot.x);
      cursor.setAttribute("cy", spot.y);
      cursor.setAttribute("visibility", "visible");
      tooltip.textContent = spot.text;
      tooltip.hidden = false;
      const left = area.left + spot.x * scale, top = area.top + spot.y * scale;
      const size = tooltip.getBoundingClientRect();
      const room = document.documentElement.clientWidth - size.width - 6;
      tooltip.style.left = `${Math.max(6, Math.min(left + 14, room)) + scrollX}px`;
      const above = top - size.height - 14;
      tooltip.style.top = `${(above > 4 ? above : top + 16) + scrollY}px`;
    }
    function hide() {
      cursor.setAttribute("visibility", "hidden");
      tooltip.hidden = true;
    }
    root.addEventListener("pointermove", (event) => {
      const area = root.getBoundingClientRect(), scale = width / area.width;
      const px = (event.clientX - area.left) * scale, py = (event.clientY - area.top) * scale;
      let best = -1, least = 30 * 30;
      spots.forEach((spot, index) => {
        const distance = (spot.x - px) ** 2 + (spot.y - py) ** 2;
        if (distance < least) [best, least] = [index, distance];
      });
      if (best < 0) hide();
      else if (best !== at || tooltip.hidden) show(best);
    });
    root.addEventListener("pointerleave", hide);
    root.addEventListener("blur", hide);
    root.addEventListener("click", () => { if (!tooltip.hidden && at >= 0) spots[at].open?.(); });
    root.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (event.key === "Escape") hide();
      else if (event.key === "Enter" && at >= 0) spots[at].open?.();
      else if (step && spots.length) {
        event.preventDefault();
        show((at + step + spots.length) % spots.length);
      } else if ((event.key === "Home" || event.key === "End") && spots.length) {
        event.preventDefault();
        show(event.key === "Home" ? 0 : spots.length - 1);
      }
    });
  }

  function legend(entries) {
    return element("ul", { class: "legend" }, ...entries.map(([draw, text]) => {
      const icon = svg("svg", { viewBox: "0 0 24 13", "aria-hidden": "true" });
      icon.append(...draw(12, 6.5));
      return element("li", {}, icon, text);
    }));
  }

  function drawCurves(group, holder, open) {
    for (const parameter of new Set(group.curves.map((curve) => curve.parameter))) {
      const curves = group.curves.filter((curve) => curve.parameter === parameter);
      const paper = paperSpots(group, curves, parameter);
      const exact = group.exact === null || !drawable(group.points[group.exact]) ? [] : [figure(group, group.points[group.exact])];
      const values = curves.flatMap((curve) => curve.points.map(([value]) => value));
      const heights = curves.flatMap((curve) =>
        curve.points.map(([, index]) => group.points[index]).filter(drawable).map((p) => figure(group, p)));
      const all = [...heights, ...exact, ...paper.map((p) => group.metric.factor * p.height)];
      if (!all.length) continue;
      const colour = (i) => `var(--series-${i % 6})`;
      const entries = curves.map((curve, i) => [
        (x, y) => [
          svg("line", { x1: 1, x2: 23, y1: y, y2: y, stroke: colour(i), "stroke-width": 1.8 }),
          mark(i, x, y, 3.6, { fill: colour(i) }),
        ], curve.title,
      ]);
      if (paper.length) entries.push([(x, y) => [mark(3, x, y, 4.5, { class: "paper", fill: "none", stroke: "currentColor" })], "stated in the paper"]);
      chart(holder, {
        title: `${group.metric.name}${inTitle[group.metric.unit]} against ${parameter}`,
        x: padded(values, 0.03, 0.5), y: padded(all, 0.08, least(group)), whole: true,
        xTitle: `${parameter}${parameter === "P" ? " (ignored mantissa bits)" : ""}`,
        legend: () => legend(entries),
      }, (root, x, y, spots, box) => {
        root.append(svg("text", { x: 2, y: 14 }, group.metric.axis));
        for (const value of exact) {
          root.append(svg("line", { class: "base", x1: box.left, x2: box.right, y1: y(value), y2: y(value) }));
        }
        curves.forEach((curve, i) => {
          const places = curve.points.filter(([, index]) => drawable(group.points[index])).map(([value, index]) =>
            [x(value), y(figure(group, group.points[index])), group.points[index]]);
          root.append(svg("polyline", {
            class: "line", stroke: colour(i), points: places.map(([px, py]) => `${px},${py}`).join(" "),
          }));
          for (const [px, py, point] of places) {
            root.append(mark(i, px, py, 3.6, { fill: colour(i) }));
            spots.push({ x: px, y: py, text: describe(group, point), open: () => open(point) });
          }
        });
        for (const point of paper) {
          const px = x(point.value), py = y(group.metric.factor * point.height);
          root.append(mark(3, px, py, 5, { class: "paper" }));
          root.append(svg("text", { x: px - 11, y: py + 4, "text-anchor": "end" }, point.beside));
          spots.push({ x: px, y: py, text: `the paper: ${shown(group, point.height)}\n${point.text}` });
        }
      });
    }
  }

  // The paper's points go where the parameter of the chart's first op kind puts them.
  function paperSpots(group, curves, parameter) {
    const spots = [];
    for (const point of group.paper) {
      const op = curves.map((curve) => curve.op).find((name) => point.rules[name]?.[parameter] !== undefined);
      if (op === undefined) continue;
      const rules = Object.entries(point.rules).map(([name, parameters]) =>
        `${name} ${Object.entries(parameters).map(([key, value]) => `${key}=${value}`).join(" ")}`);
      spots.push({
        value: point.rules[op][parameter], height: point.value, beside: point.beside[op],
        text: `${rules.join(", ")}\n${point.where}`,
      });
    }
    return spots;
  }

  function drawFront(group, holder, open) {
    const names = costNames(group);
    const place = element("div");
    const show = (cost) => {
      place.replaceChildren();
      const known = group.points.filter((point) => cost in point.costs && drawable(point));
      const front = group.fronts[cost].map((index) => group.points[index]).filter(drawable);
      if (!known.length) return;
      const inFront = new Set(front), cores = group.cores[cost], limit = group.limits[cost];
      const beyond = (point) => limit && (group.metric.larger ? figure(group, point) < limit[0] : figure(group, point) > limit[0]);
      const seen = known.filter((point) => !beyond(point));
      const rest = seen.filter((point) => !inFront.has(point));
      const chosen = seen.filter((point) => point.chosen);
      const exact = seen.find((point) => point === group.points[group.exact]);
      const colour = (core) => (cores.includes(core) ? `var(--series-${cores.indexOf(core) % 6})` : "var(--soft)");
      const shape = (core) => Math.max(0, cores.indexOf(core));
      const ring = (x, y, r) => svg("circle", { class: "chosenmark", cx: x, cy: y, r, fill: "none", stroke: "var(--mark)", "stroke-width": 2 });
      const square = (x, y) => mark(1, x, y, 4.2, { class: "exactmark" });
      const entries = cores.map((core) => [(x, y) => [mark(shape(core), x, y, 3.6, { fill: colour(core) })], core]);
      if (seen.some((point) => !point.core)) entries.push([(x, y) => [mark(0, x, y, 2.5, { fill: colour("") })], "several cores"]);
      entries.push([(x, y) => [svg("line", { class: "frontline", x1: 1, x2: 23, y1: y, y2: y })], "Pareto front"]);
      if (exact) entries.push([(x, y) => [square(x, y)], "exact"]);
      if (chosen.length) entries.push([(x, y) => [ring(x, y, 5)], "chosen"]);
      const heights = padded(seen.map((point) => figure(group, point)), 0.08, least(group));
      chart(place, {
        title: `${group.metric.name}${inTitle[group.metric.unit]} against ${cost}`,
        x: padded(seen.flatMap((point) => [point.costs[cost], ...(point.spread?.[cost] ?? [])]), 0.04, 1e-9 + Math.abs(known[0].costs[cost]) * 0.01),
        y: limit ? [group.metric.larger ? limit[0] : heights[0], group.metric.larger ? heights[1] : limit[0]] : heights,
        xTitle: group.axes[cost],
        legend: () => legend(entries),
      }, (root, x, y, spots, box) => {
        root.append(svg("text", { x: 2, y: 14 }, group.metric.axis));
        if (limit) root.append(svg("text", { x: box.left + 6, y: group.metric.larger ? box.bottom - 6 : box.top + 12 }, limit[1]));
        const spot = (point) => ({
          x: x(point.costs[cost]), y: y(figure(group, point)), core: point.core, text: describe(group, point), open: () => open(point),
        });
        const cloud = rest.map(spot), line = front.filter((point) => !beyond(point)).map(spot);
        // One path for all of a colour: thousands of nodes would be slow.
        for (const core of ["", "exact", ...cores]) {
          const own = cloud.filter((s) => s.core === core);
          if (own.length) root.append(svg("path", { class: "cloud", style: `stroke: ${colour(core)}`, d: own.map((s) => `M${s.x.toFixed(1)} ${s.y.toFixed(1)}h0`).join("") }));
        }
        root.append(svg("path", { class: "frontline", d: line.map((s, i) => (i ? `H${s.x}V${s.y}` : `M${s.x} ${s.y}`)).join("") }));
        for (const point of front) {
          const ends = point.spread?.[cost], height = y(figure(group, point));
          if (ends) root.append(svg("line", { class: "spread", x1: x(ends[0]), x2: x(ends[1]), y1: height, y2: height }));
        }
        for (const s of line) root.append(mark(shape(s.core), s.x, s.y, 4.2, { fill: colour(s.core) }));
        if (exact) root.append(square(spot(exact).x, spot(exact).y));
        for (const s of chosen.map(spot)) root.append(ring(s.x, s.y, 8));
        spots.push(...line, ...cloud);
      });
    };
    if (names.length > 1) {
      const id = `cost-${GROUPS.indexOf(group)}`;
      holder.append(element("fieldset", { class: "switch" }, ...names.map((name, i) =>
        element("label", {}, element("input", {
          type: "radio", name: id, checked: i === 0, onchange: () => show(name),
        }), ` ${name}`))));
    }
    holder.append(place);
    show(names[0]);
  }

  function drawSearches(group, holder) {
    const costs = costNames(group).filter((cost) => group.searches.some((search) => search.volumes[cost]));
    for (const cost of costs) {
      const searches = group.searches.filter((search) => search.volumes[cost]);
      const colour = (i) => `var(--series-${i % 6})`;
      chart(holder, {
        title: `hypervolume of ${group.metric.name} and ${cost} against evaluations`,
        x: padded(searches.flatMap((search) => [1, search.volumes[cost].at(-1)[0]]), 0.03, 0.5), y: [0, 1.02], whole: true,
        xTitle: "evaluations",
        legend: () => legend(searches.map((search, i) => [
          (x, y) => [svg("line", { x1: 1, x2: 23, y1: y, y2: y, stroke: colour(i), "stroke-width": 1.8 })], search.label,
        ])),
      }, (root, x, y, spots) => {
        root.append(svg("text", { x: 2, y: 14 }, `hypervolume (${group.metric.name}, ${cost})`));
        searches.forEach((search, i) => {
          const places = search.volumes[cost].map(([n, volume]) => [x(n), y(volume), volume, n]);
          root.append(svg("path", { class: "line", stroke: colour(i), d: places.map(([px, py], n) => (n ? `H${px}V${py}` : `M${px} ${py}`)).join("") }));
          for (const [px, py, volume, n] of places) {
            spots.push({ x: px, y: py, text: `${search.label}\n${number(volume)} after ${n} evaluations` });
          }
        });
      });
    }
  }

  // -- the table of results ------------------------------------------------------------------

  function drawResults(group, section) {
    const holder = section.querySelector("[data-results]"), form = section.querySelector("form");
    const costs = costNames(group);
    const front = new Set(Object.values(group.fronts).flat());
    const rows = group.points.map((point, index) => ({ point, index, open: false, low: point.label.toLowerCase() }));
    const columns = [
      { name: "Configuration", value: (row) => row.point.label, text: true },
      {
        name: group.metric.name[0].toUpperCase() + group.metric.name.slice(1),
        value: (row) => row.point.value ?? Infinity, show: (row) => shown(group, row.point.value), down: group.metric.larger,
      },
      ...costs.map((cost) => ({
        name: `${cost[0].toUpperCase()}${cost.slice(1)}`, unit: group.units[cost],
        value: (row) => row.point.costs[cost] ?? Infinity,
        show: (row) => (cost in row.point.costs ? number(row.point.costs[cost]) : ""),
      })),
      { name: "Seconds", value: (row) => row.point.seconds, show: (row) => row.point.seconds.toFixed(2) },
    ];
    let sort = null, down = false, page = 0, visible = rows;

    const head = element("tr"), body = element("tbody"), pager = element("div", { class: "pager" });
    holder.append(element("table", {}, element("thead", {}, head), body), pager);
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("input", () => { page = 0; update(); });
    form.elements.sort.append(element("option", { value: "" }, "order of evaluation"),
      ...columns.map((column, i) => element("option", { value: i }, column.name)));
    form.elements.sort.addEventListener("change", () => {
      const value = form.elements.sort.value;
      sort = value === "" ? null : columns[Number(value)];
      down = Boolean(sort?.down);
      update();
    });

    function heads() {
      head.replaceChildren(...columns.map((column) => {
        const order = column !== sort ? "none" : down ? "descending" : "ascending";
        const arrow = { none: "", ascending: " ▲", descending: " ▼" }[order];
        return element("th", { scope: "col", "aria-sort": order }, element("button", {
          type: "button",
          onclick: () => {
            [sort, down] = column === sort ? [sort, !down] : [column, Boolean(column.down)];
            page = 0;
            update();
          },
        }, column.name + (column.unit && column.name !== "Steps" ? ` [${column.unit}]` : "") + arrow));
      }));
    }

    function update() {
      const words = form.elements.text.value.toLowerCase().split(/\s+/).filter(Boolean);
      const least = form.elements.least.value === "" ? null : Number(form.elements.least.value) / group.metric.factor;
      const enough = (point) => least === null || (group.metric.larger ? (point.value ?? Infinity) >= least : point.value !== null && point.value <= least);
      const only = form.elements.front.checked;
      visible = rows.filter((row) => enough(row.point) && (!only || front.has(row.index))
        && words.every((word) => row.low.includes(word)));
      if (sort) {
        const sign = down ? -1 : 1, compare = new Intl.Collator("en", { numeric: true }).compare;
        const keyed = visible.map((row) => [sort.value(row), row]);
        keyed.sort(([a, ra], [b, rb]) => sign * (sort.text ? compare(a, b) : a === b ? 0 : a < b ? -1 : 1) || ra.index - rb.index);
        visible = keyed.map(([, row]) => row);
      }
      draw();
    }

    function badges(row) {
      const found = [];
      if (row.index === group.exact) found.push("exact");
      if (row.point.chosen) found.push("chosen");
      if (front.has(row.index)) found.push("front");
      if (row.point.stopped) found.push("stopped early");
      return found.map((text) => element("span", { class: "badge" }, text));
    }

    const counted = ({ correct, samples }) => (correct === null ? ` on ${samples.toLocaleString("en")} samples`
      : ` ${correct.toLocaleString("en")} of ${samples.toLocaleString("en")} samples right`);

    const download = (binding) => element("a", {
      download: "binding.json", href: `data:application/json,${encodeURIComponent(JSON.stringify(binding, null, 2))}`,
    }, "binding.json");

    function detail(row) {
      const { command, binding } = row.point;
      const text = command ?? (binding ? `binding.json: ${JSON.stringify(binding)}` : "no command is stored for it");
      const copy = element("button", {
        type: "button",
        onclick: async (event) => {
          const button = event.currentTarget;
          try {
            await navigator.clipboard.writeText(text);
            button.textContent = "Copied";
          } catch {
            button.textContent = "Select it and copy";
          }
        },
      }, "Copy");
      return element("tr", { class: "detail" }, element("td", { colspan: columns.length },
        element("pre", { class: "command", tabindex: 0 }, text), copy, ...(binding ? [" ", download(binding)] : []), counted(row.point)));
    }

    function draw() {
      heads();
      const pages = Math.max(1, Math.ceil(visible.length / ROWS));
      page = Math.min(page, pages - 1);
      const nodes = [];
      for (const row of visible.slice(page * ROWS, page * ROWS + ROWS)) {
        const cells = columns.map((column) => column.text
          ? element("td", { class: "text" }, row.point.label, ...badges(row), " ", element("button", {
            type: "button", class: "more", "aria-expanded": String(row.open),
            onclick: () => { row.open = !row.open; draw(); holder.querySelector(`[data-row="${row.index}"] button`)?.focus(); },
          }, row.open ? "hide" : "command"))
          : element("td", { "data-name": column.name }, column.show(row)));
        nodes.push(element("tr", { class: row.open && "open", "data-row": row.index }, ...cells));
        if (row.open) nodes.push(detail(row));
      }
      body.replaceChildren(...nodes);
      const turn = (text, to) => element("button", {
        type: "button", disabled: to < 0 || to >= pages,
        onclick: () => { page = to; draw(); },
      }, text);
      const from = visible.length ? page * ROWS + 1 : 0, to = Math.min(visible.length, (page + 1) * ROWS);
      pager.replaceChildren(...(pages > 1 ? [turn("Previous", page - 1), turn("Next", page + 1)] : []),
        element("span", { role: "status" }, `${from}–${to} of ${visible.length.toLocaleString("en")} results`));
    }

    update();
    return (point) => {
      form.elements.text.value = form.elements.least.value = "";
      form.elements.front.checked = false;
      update();
      const position = visible.findIndex((row) => row.point === point);
      page = Math.floor(position / ROWS);
      visible[position].open = true;
      draw();
      const row = holder.querySelector(`[data-row="${visible[position].index}"]`);
      row.scrollIntoView({ block: "center" });
      row.querySelector("button").focus();
    };
  }

  for (const section of document.querySelectorAll("[data-group]")) {
    const group = GROUPS[Number(section.dataset.group)];
    const open = drawResults(group, section);
    const curves = section.querySelector('[data-charts="curves"]');
    if (curves) drawCurves(group, curves, open);
    const front = section.querySelector('[data-charts="front"]');
    if (front) drawFront(group, front, open);
    const search = section.querySelector('[data-charts="search"]');
    if (search) drawSearches(group, search);
  }
})();
