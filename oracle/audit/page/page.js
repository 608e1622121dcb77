// What moves on the page: tables that sort and filter, charts, and rounds to look into.
// Text from logs goes into text nodes only, never into HTML.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const ROWS = 25; // of a table at once
  const LABELS = 12; // at the ends of lines
  const FEW = 5; // rows that need no filter
  const root = document.documentElement;
  const farOff = new Set(data.farOff);
  const colour = (name) => getComputedStyle(root).getPropertyValue("--" + name).trim();
  const unit = (value, digits = 4) => (value / data.one).toFixed(digits);
  const trust = (value) => (value / data.trustOne).toFixed(3);
  const called = (node) => (data.names[node] ? `${node} ${data.names[node]}` : String(node));

  function el(tag, attributes = {}, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (value !== null) made.setAttribute(name, value);
    }
    made.append(...children.filter((child) => child !== null));
    return made;
  }

  // Tables

  const printed = []; // those that print whole

  function interactive(table, options = {}) {
    const rows = options.data ? options.data.length : table.tBodies[0].rows.length;
    const frame = table.parentElement;
    const label = frame.getAttribute("aria-label");
    const made = new DataTable(table, {
      order: [],
      autoWidth: false,
      paging: rows > ROWS,
      pageLength: ROWS,
      lengthChange: false,
      orderMulti: false,
      language: { search: "Filter", zeroRecords: "No row has that.", info: "_START_ to _END_ of _TOTAL_", infoFiltered: "(of _MAX_)" },
      layout: {
        topStart: rows > FEW ? "search" : null,
        topEnd: null,
        bottomStart: rows > ROWS ? "info" : null,
        bottomEnd: rows > ROWS ? "paging" : null,
      },
      ...options,
    });
    // The table scrolls sideways, its controls stay.
    const scrolling = frame.querySelector(".dt-layout-table") || frame;
    if (scrolling !== frame) {
      for (const name of ["role", "tabindex", "aria-label"]) frame.removeAttribute(name);
      frame.classList.replace("scroll", "framed");
    }
    scrolling.setAttribute("role", "region");
    scrolling.setAttribute("tabindex", "0");
    scrolling.setAttribute("aria-label", label);
    return made;
  }

  function tableOf(label, columns, rows) {
    const head = el("tr", {}, ...columns.map((name) => el("th", { scope: "col" }, name)));
    const body = rows.map((cells) => el("tr", {}, ...cells));
    const table = el("table", { class: "table" }, el("thead", {}, head), el("tbody", {}, ...body));
    return el("div", { class: "scroll", role: "region", tabindex: "0", "aria-label": label }, table);
  }

  const text = (value) => el("td", {}, String(value));
  const number = (value, order = null) => el("td", { class: "number", "data-order": order }, String(value));

  // Charts: drawn again when their width, the colours of the page, or the medium change

  const charts = new Set();

  function chart(figure, options, values) {
    const draw = () => {
      if (drawn.plot) drawn.plot.destroy();
      const width = Math.max(240, Math.floor(figure.clientWidth));
      const axis = { stroke: colour("quiet"), grid: { stroke: colour("line"), width: 1 }, ticks: { stroke: colour("line"), width: 1 } };
      drawn.width = width;
      drawn.plot = new uPlot({ ...options(width, axis), width }, values, figure);
    };
    const drawn = { draw, figure, plot: null, width: 0 };
    charts.add(drawn);
    draw();
    new ResizeObserver(() => {
      if (figure.isConnected && Math.abs(figure.clientWidth - drawn.width) > 1 && figure.clientWidth) draw();
    }).observe(figure);
  }

  function redraw() {
    for (const drawn of charts) {
      if (drawn.figure.isConnected) drawn.draw();
      else charts.delete(drawn);
    }
  }

  // Labels at the ends of lines, pushed apart so that each can be read
  function endLabels(labels) {
    return (plot) => {
      const { ctx } = plot, ratio = devicePixelRatio, step = 13 * ratio;
      const right = plot.bbox.left + plot.bbox.width + 6 * ratio;
      const bottom = plot.bbox.top + plot.bbox.height;
      const placed = labels
        .map(({ name, value, stroke }) => ({ name, stroke, y: plot.valToPos(value, "y", true) }))
        .sort((a, b) => a.y - b.y);
      placed.forEach((label, i) => { if (i) label.y = Math.max(label.y, placed[i - 1].y + step); });
      for (let i = placed.length - 1, most = bottom; i >= 0; i--, most -= step) placed[i].y = Math.min(placed[i].y, most);
      ctx.save();
      ctx.font = `${11 * ratio}px system-ui, sans-serif`;
      ctx.textBaseline = "middle";
      ctx.textAlign = "left";
      for (const label of placed) {
        ctx.fillStyle = label.stroke;
        ctx.fillText(label.name, right, label.y);
      }
      ctx.restore();
    };
  }

  function trustChart(domain) {
    const { rounds, lines } = domain;
    const shown = lines.length < domain.nodes ? `, the ${lines.length} lowest of ${domain.nodes} nodes` : "";
    const after = rounds.length < domain.allRounds ? `${rounds.length} of its ${domain.allRounds}` : "each of its";
    const figure = el("figure", {}, el("figcaption", {}, `${domain.domain}: trust after ${after} rounds${shown}`));
    document.getElementById("trust-charts").append(figure);
    const end = (line) => line.trust[line.trust.length - 1];
    const named = lines
      .filter((line) => farOff.has(line.node) || end(line) < 0.9 * data.trustOne)
      .sort((a, b) => end(a) - end(b))
      .slice(0, LABELS);
    const atRound = (index) => (index > 0 ? String(rounds[index - 1]) : "start");
    const options = (width, axis) => ({
      height: 260,
      padding: [8, named.length ? (width > 420 ? 100 : 44) : 12, 0, 0],
      scales: { x: { time: false, range: [0, rounds.length] }, y: { range: [0, 1.03] } },
      legend: { live: true, isolate: true },
      cursor: { focus: { prox: 24 }, drag: { x: false, y: false } },
      focus: { alpha: 0.25 },
      axes: [
        { ...axis, label: "round", labelSize: 20, size: 34, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500], values: (_, splits) => splits.map((at) => (Number.isInteger(at) ? atRound(at) : "")) },
        { ...axis, size: 42, values: (_, splits) => splits.map((at) => at.toFixed(1)) },
      ],
      series: [
        { label: "round", value: (_, at) => (at === null ? "–" : atRound(at)) },
        ...lines.map(({ node }) => ({
          label: called(node) + (farOff.has(node) ? " ▲" : ""),
          stroke: colour(farOff.has(node) ? "bad" : "ordinary"),
          width: farOff.has(node) ? 2.25 : 1.25,
          dash: farOff.has(node) ? [7, 4] : undefined,
          points: { show: rounds.length <= 30, size: farOff.has(node) ? 6 : 4 },
          class: farOff.has(node) ? "far" : undefined,
          value: (_, at) => (at === null ? "–" : at.toFixed(3)),
        })),
      ],
      hooks: {
        draw: [endLabels(named.map((line) => ({
          name: width > 420 ? called(line.node) : String(line.node),
          value: end(line) / data.trustOne,
          stroke: colour(farOff.has(line.node) ? "bad" : "quiet"),
        })))],
      },
    });
    const values = [[...Array(rounds.length + 1).keys()], ...lines.map((line) => line.trust.map((each) => each / data.trustOne))];
    chart(figure, options, values);
  }

  // One round

  function unpacked(round) {
    const bytes = Uint8Array.from(atob(round.scores), (each) => each.charCodeAt(0));
    const view = new DataView(bytes.buffer);
    const rows = bytes.length / 2 / round.shown;
    const row = (at) => Array.from({ length: round.shown }, (_, i) => view.getUint16(2 * (at * round.shown + i)));
    const [consensus, ...others] = Array.from({ length: rows }, (_, at) => row(at));
    const [pivot, scores] = round.pivot ? [others[0], others.slice(1)] : [consensus, others];
    const items = Array.from({ length: round.shown }, (_, i) => Math.floor((i * round.items) / round.shown));
    return { consensus, pivot, scores, items };
  }

  const beyond = (round, seat) => seat.present && seat.disagreement > round.agreement;

  function seatTable(round) {
    const columns = ["seat", "node", "conduct", "deviation", "disagreement", "committed after", "trust before", "trust after", "paid", "slashed"];
    const rows = round.seats.map((seat) => {
      const far = beyond(round, seat);
      const off = seat.present ? [unit(seat.disagreement), far ? el("span", { class: "flag" }, " ▲", el("span", { class: "sr" }, " beyond agreement")) : null] : [];
      return [
        el("th", { scope: "row" }, String(seat.seat)),
        el("td", { "data-order": String(seat.node) }, called(seat.node)),
        el("td", { class: seat.present || seat.conduct === "committed" ? "" : "absent" }, seat.conduct),
        number(seat.present ? unit(seat.deviation) : "", seat.present ? seat.deviation : -1),
        el("td", { "data-order": String(seat.present ? seat.disagreement : -1) }, ...off.filter((each) => each !== null)),
        number(seat.elapsed === null ? "" : `${seat.elapsed} s`, seat.elapsed === null ? -1 : seat.elapsed),
        number(trust(seat.trust.length ? seat.trust[0] : seat.drawnTrust)),
        number(seat.trust.length ? trust(seat.trust[1]) : ""),
        number(seat.paid, seat.paid.replaceAll(",", "")),
        number(seat.slashed, seat.slashed.replaceAll(",", "")),
      ];
    });
    return tableOf(`Table of the seats of round ${round.round}`, columns, rows);
  }

  function batchTable(round) {
    const rows = round.batches.map((batch) => [
      el("th", { scope: "row", "data-order": String(batch.node) }, called(batch.node)),
      number(batch.items),
      number(unit(batch.cost)),
      number(batch.paid, batch.paid.replaceAll(",", "")),
    ]);
    return tableOf(`Table of the batches of round ${round.round}`, ["node", "items", "cost", "paid"], rows);
  }

  function itemChart(round, { consensus, scores, items }, seats) {
    const order = [...items.keys()].sort((a, b) => consensus[a] - consensus[b] || a - b);
    const sorted = (row) => order.map((i) => row[i] / data.one);
    const last = order[order.length - 1];
    const far = seats.map((seat, i) => [seat, scores[i]]).filter(([seat]) => beyond(round, seat));
    const figure = el("figure", {}, el("figcaption", {}, "Scores against the consensus, items in the order of their consensus"));
    const options = (width, axis) => ({
      height: width > 520 ? 320 : 260,
      padding: [8, width > 420 ? 100 : 44, 0, 0],
      scales: { x: { time: false }, y: { range: [-0.02, 1.02] } },
      cursor: { drag: { x: false, y: false }, points: { show: false } },
      legend: { live: true },
      axes: [
        { ...axis, label: "items, by rising consensus", labelSize: 20, size: 34, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000], values: (_, splits) => splits.map((at) => (Number.isInteger(at) ? at : "")) },
        { ...axis, size: 42, values: (_, splits) => splits.map((at) => at.toFixed(1)) },
      ],
      series: [
        { label: "item", value: (_, at) => (at === null ? "–" : String(items[order[at]])) },
        ...seats.map((seat) => {
          const far = beyond(round, seat);
          const stroke = colour(far ? "bad" : "ordinary");
          return {
            label: called(seat.node) + (far ? " ▲" : ""),
            stroke,
            paths: () => null,
            points: { show: true, size: far ? 7 : 5, fill: far ? stroke : colour("paper"), width: 1.25 },
            class: far ? "far" : undefined,
            value: (_, at) => (at === null ? "–" : at.toFixed(3)),
          };
        }),
        { label: "consensus", stroke: colour("text"), width: 2.5, points: { show: false }, value: (_, at) => (at === null ? "–" : at.toFixed(3)) },
      ],
      hooks: {
        draw: [endLabels([
          { name: width > 420 ? "consensus" : "cons.", value: consensus[last] / data.one, stroke: colour("text") },
          ...far.map(([seat, row]) => ({ name: width > 420 ? called(seat.node) : String(seat.node), value: row[last] / data.one, stroke: colour("bad") })),
        ])],
      },
    });
    const values = [[...order.keys()], ...scores.map(sorted), sorted(consensus)];
    return { figure, draw: () => chart(figure, options, values) };
  }

  function itemTable(round, { consensus, pivot, scores, items }, seats) {
    const ends = [];
    for (const batch of round.batches) ends.push((ends.length ? ends[ends.length - 1] : 0) + batch.items);
    const batchOf = (item) => round.batches[ends.findIndex((end) => item < end)];
    const middle = round.pivot ? ["consensus", "pivot"] : ["consensus"];
    const columns = ["item", ...middle, ...seats.map((seat) => called(seat.node) + (beyond(round, seat) ? " ▲" : "")), "from"];
    const frame = tableOf(`Table of the items of round ${round.round}`, columns, []);
    const level = (gap) => [4, 2, 1].filter((part) => part * Math.abs(gap) >= data.closenessScale).length;
    const gap = (value) => {
      const size = unit(Math.abs(value), 2);
      return size === "0.00" ? size : (value < 0 ? "−" : "+") + size;
    };
    const cells = items.map((item, i) => [
      item,
      consensus[i],
      ...(round.pivot ? [pivot[i]] : []),
      ...scores.map((row) => [row[i], row[i] - pivot[i]]),
      called(batchOf(item).node),
    ]);
    // A seat's column sorts by the distance from the pivot.
    const asScore = (cell, kind) => (kind === "sort" || kind === "type" ? Math.abs(cell[1]) : `${unit(cell[0], 2)} (${gap(cell[1])})`);
    const paint = (td, cell) => {
      td.replaceChildren(unit(cell[0], 2) + " ", el("span", { class: "gap" }, gap(cell[1])));
      td.classList.add("level" + level(cell[1]));
    };
    const start = () => interactive(frame.firstElementChild, {
      data: cells,
      columns: [
        {},
        ...middle.map(() => ({ className: "number", render: (value, kind) => (kind === "sort" || kind === "type" ? value : unit(value)) })),
        ...seats.map(() => ({ className: "number", render: asScore, createdCell: paint })),
        { render: DataTable.render.text() },
      ],
    });
    return { frame, start };
  }

  const detail = document.getElementById("detail");
  const pick = el("select", { id: "pick" });
  const before = el("button", { type: "button" }, "← earlier");
  const after = el("button", { type: "button" }, "later →");
  const place = el("div");
  const told = el("p", { role: "status" });
  const rounds = data.rounds;
  const index = new Map(rounds.map((round, i) => [String(round.round), i]));
  let itemRows = null;

  function show(at) {
    const round = rounds[at];
    pick.value = String(at);
    before.disabled = at === 0;
    after.disabled = at === rounds.length - 1;
    if (itemRows) itemRows.destroy();
    itemRows = null;
    const off = round.seats.filter((seat) => beyond(round, seat)).length;
    const agreement = round.agreement === undefined ? "" : ` A disagreement of up to ${unit(round.agreement)} counted as agreement; ${off} of ${round.seats.filter((seat) => seat.present).length} seats were beyond it.`;
    told.textContent = `Round ${round.round} is ${round.phase}: ${round.items} items of the domain ${round.domain}, by the ${round.rule}.${agreement}`;
    const facts = round.facts.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", { class: "hash" }, value)));
    place.replaceChildren();
    let items = null;
    if (round.scores) {
      const values = unpacked(round);
      const seats = round.seats.filter((seat) => seat.present);
      const figure = itemChart(round, values, seats);
      place.append(figure.figure);
      figure.draw();
      items = itemTable(round, values, seats);
    }
    if (round.seats.length) place.append(el("h3", {}, "Seats"), seatTable(round));
    if (items) {
      place.append(el("h3", {}, `Items: each score, and how far it is from the ${round.pivot ? "pivot" : "consensus"}`));
      const why = round.pivot ? "A mean follows the seats that stray farthest, so seats are judged by the pivot, the trust-weighted median. " : "";
      place.append(el("p", { class: "note" }, `${why}The ground is darker from a quarter, from half and from all of ${unit(data.closenessScale, 2)} on, the average distance at which nothing is paid.`));
      if (round.shown < round.items) place.append(el("p", { class: "note" }, `To keep the page small it holds every ${(round.items / round.shown).toFixed(1)}th item: ${round.shown} of ${round.items}. Deviations and payouts are of all.`));
      place.append(items.frame);
      itemRows = items.start();
    }
    place.append(el("h3", {}, "Outputs"), batchTable(round), el("h3", {}, "Facts"), el("dl", { class: "facts" }, ...facts));
  }

  function follow() {
    const asked = /^#round-(\d+)$/.exec(location.hash);
    if (!asked || !index.has(asked[1])) return false;
    show(index.get(asked[1]));
    document.getElementById("one-round").scrollIntoView();
    return true;
  }

  function start() {
    for (const table of document.querySelectorAll("table.table")) printed.push(interactive(table));
    data.trust.forEach(trustChart);
    if (rounds.length) {
      rounds.forEach((round, at) => pick.append(el("option", { value: String(at) }, `Round ${round.round}, ${round.domain}, ${round.phase}`)));
      detail.append(el("div", { class: "pick" }, el("label", { for: "pick" }, "Look at"), pick, before, after), told, place);
      const open = (at) => { location.hash = `round-${rounds[at].round}`; };
      pick.addEventListener("change", () => open(Number(pick.value)));
      before.addEventListener("click", () => open(Number(pick.value) - 1));
      after.addEventListener("click", () => open(Number(pick.value) + 1));
      addEventListener("hashchange", follow);
      if (!follow()) {
        const settled = rounds.findLastIndex((round) => round.phase === "settled");
        show(settled < 0 ? rounds.length - 1 : settled);
      }
    } else {
      detail.append(el("p", {}, "No round was opened."));
    }
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
    const onPaper = (now) => {
      if (root.classList.contains("print") === now) return;
      root.classList.toggle("print", now);
      for (const table of printed) if (table.page.info().recordsTotal > ROWS) table.page.len(now ? -1 : ROWS).draw();
      redraw();
    };
    addEventListener("beforeprint", () => onPaper(true));
    addEventListener("afterprint", () => onPaper(false));
    matchMedia("print").addEventListener("change", (media) => onPaper(media.matches));
  }

  start();
})();
