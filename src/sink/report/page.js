'use strict';
(() => {
  const data = JSON.parse(document.getElementById('data').textContent);
  const { rows, texts, classes, groups, calls, first, command } = data;
  const total = rows.uid.length;
  const HEIGHT = 28;
  const AHEAD = 12;
  const byId = (id) => document.getElementById(id);
  const text = (number) => (number < 0 ? '' : texts[number]);
  const el = (name, attributes, ...children) => {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes || {})) made.setAttribute(key, value);
    made.append(...children);
    return made;
  };
  // Microseconds do not fit into a Date; nor does a double hold today's time with more of them.
  const clock = (start) => {
    const micros = first.micros + start;
    const date = new Date(first.ms + Math.floor(micros / 1000));
    return date.toISOString().slice(data.days ? 5 : 11, 23).replace('T', ' ');
  };
  const took = (micros) => {
    if (micros < 0) return '—';
    if (micros < 1000) return micros + ' µs';
    if (micros < 1000000) return (micros / 1000).toFixed(micros < 10000 ? 2 : 1) + ' ms';
    return (micros / 1000000).toFixed(2) + ' s';
  };
  // As a number, 71.10 would be 71.1. A packet has fewer than 2^20 calls.
  const inOrder = (uid) => {
    const [packet, ordinal] = String(uid).split('.');
    return Number(packet) + Number(ordinal || 0) / 2 ** 20;
  };
  const order = Array.from({ length: total }, (_, at) => at);
  const columns = [
    { name: 'Call', of: (at) => rows.uid[at], sort: (at) => inOrder(rows.uid[at]), kind: 'n' },
    { name: data.days ? 'Day, time' : 'Time (UTC)', of: (at) => clock(rows.start[at]), sort: (at) => rows.start[at], kind: '' },
    { name: 'Latency', of: (at) => took(rows.latency[at]), sort: (at) => rows.latency[at], kind: 'n wide-only' },
    { name: 'Client → server', of: (at) => text(rows.client[at]) + ' → ' + text(rows.server[at]), kind: 'wide-only' },
    { name: 'Method', of: (at) => text(rows.operation[at]), kind: '' },
    { name: 'Protocol', of: (at) => text(rows.protocol[at]), kind: 'wide-only' },
    { name: 'Verdict', of: (at) => text(rows.verdict[at]), kind: 'verdict' },
  ];
  let sorted = { column: 1, up: true };
  let shown = order;
  let kind = -1;
  const body = byId('body');
  const space = byId('space');
  const query = byId('q');
  const boxes = [...document.querySelectorAll('input[name=class]')];

  const haystacks = new Array(total);
  const haystack = (at) =>
    (haystacks[at] ??= [
      rows.uid[at], text(rows.client[at]), text(rows.server[at]), text(rows.operation[at]), text(rows.protocol[at]),
      classes[rows.class[at]].label, text(rows.verdict[at]),
    ].join('\n').toLowerCase());

  const choose = () => {
    const words = query.value.toLowerCase().split(/\s+/).filter(Boolean);
    const wanted = classes.map(() => false);
    boxes.forEach((box) => { wanted[box.value] = box.checked; });
    shown = order.filter((at) =>
      wanted[rows.class[at]] && (kind < 0 || rows.group[at] === kind) && words.every((word) => haystack(at).includes(word)));
    const number = (count) => count.toLocaleString('en');
    byId('found').textContent = shown.length === total
      ? number(total) + (total === 1 ? ' call' : ' calls')
      : number(shown.length) + ' of ' + number(total) + ' calls';
    byId('kind').hidden = kind < 0;
    if (kind >= 0) byId('kind-text').textContent = 'Only: ' + groups[kind];
    space.style.height = shown.length * HEIGHT + 'px';
    document.querySelector('[role=table]').setAttribute('aria-rowcount', shown.length + 1);
    body.scrollTop = 0;
    draw(true);
  };
  const sort = (column) => {
    sorted = { column, up: sorted.column === column ? !sorted.up : true };
    const key = columns[column].sort || columns[column].of;
    const keys = order.map(key);
    const places = Array.from({ length: total }, (_, place) => place);
    const way = sorted.up ? 1 : -1;
    places.sort((a, b) => (keys[a] < keys[b] ? -way : keys[a] > keys[b] ? way : order[a] - order[b]));
    const before = order.slice();
    places.forEach((place, at) => { order[at] = before[place]; });
    heads();
    choose();
  };
  const heads = () => {
    byId('head').replaceChildren(...columns.map((column, at) => {
      const sign = sorted.column === at ? (sorted.up ? ' ▲' : ' ▼') : '';
      const button = el('button', { type: 'button' }, column.name + sign);
      button.addEventListener('click', () => sort(at));
      const state = sorted.column === at ? (sorted.up ? 'ascending' : 'descending') : 'none';
      return el('div', { role: 'columnheader', 'aria-sort': state, class: column.kind }, button);
    }));
  };
  const row = (place) => {
    const at = shown[place];
    const made = el('div', { role: 'row', class: 'row', 'aria-rowindex': place + 2 });
    made.style.top = place * HEIGHT + 'px';
    columns.forEach((column, number) => {
      const value = String(column.of(at));
      const cell = el('div', { role: 'cell', class: column.kind });
      if (number === 0) {
        cell.append(el('button', { type: 'button', 'aria-label': 'Call ' + value }, value));
      } else {
        cell.textContent = value;
        cell.title = value;
      }
      if (column.kind === 'verdict') cell.classList.add('v-' + classes[rows.class[at]].name);
      made.append(cell);
    });
    made.addEventListener('click', () => { location.hash = 'call=' + rows.uid[at]; });
    return made;
  };
  // Rows that stay in sight stay as they are: a scrolled page costs its new rows.
  const held = new Map();
  const draw = (anew) => {
    const from = Math.max(0, Math.floor(body.scrollTop / HEIGHT) - AHEAD);
    const to = Math.min(shown.length, from + Math.ceil((body.clientHeight || 560) / HEIGHT) + 2 * AHEAD);
    for (const [place, made] of held) {
      if (anew || place < from || place >= to) {
        made.remove();
        held.delete(place);
      }
    }
    let next = null;
    for (let place = to - 1; place >= from; place -= 1) {
      if (!held.has(place)) {
        held.set(place, row(place));
        body.insertBefore(held.get(place), next);
      }
      next = held.get(place);
    }
  };
  let waits = false;
  body.addEventListener('scroll', () => {
    if (waits) return;
    waits = true;
    requestAnimationFrame(() => { waits = false; draw(false); });
  });

  const places = new Map(rows.uid.map((uid, at) => [String(uid), at]));
  const list = (pairs) => {
    const made = el('dl');
    for (const [label, value, meaning] of pairs) {
      if (value === '' || value === undefined) continue;
      const dd = el('dd', {}, value);
      if (meaning) dd.append(el('small', {}, meaning));
      made.append(el('dt', {}, label), dd);
    }
    return made;
  };
  const show = (uid) => {
    const at = places.get(uid);
    const more = calls[uid];
    const box = byId('call-body');
    box.replaceChildren();
    byId('call-title').textContent = 'Call ' + uid + (at === undefined ? '' : ': ' + text(rows.operation[at]));
    if (at === undefined) {
      box.append(el('p', {}, 'This call is not in the table: the page has no room for it. ' + command.replace('UID', uid) + ' shows it.'));
    } else {
      const about = classes[rows.class[at]];
      if (rows.sentence[at] >= 0) box.append(el('p', { class: 'told' }, text(rows.sentence[at])));
      box.append(list([
        ['class', about.label], ['verdict', text(rows.verdict[at])], ['time', clock(rows.start[at]) + ' UTC'],
        ['latency', took(rows.latency[at])], ['client', text(rows.client[at])], ['server', text(rows.server[at])],
        ['protocol', text(rows.protocol[at])],
      ]));
      if (rows.chain[at] >= 0) {
        const link = el('a', { href: '#chain-' + rows.chain[at] }, 'Its chain');
        box.append(el('p', {}, link));
      }
    }
    const lines = data.logs[uid];
    if (lines) {
      box.append(el('h3', {}, 'Lines of logs'));
      lines.forEach(([place, line]) => box.append(el('p', { class: 'mono' }, place + '  ' + line)));
    }
    if (more) {
      box.append(el('h3', {}, 'Verdict'), list(more.verdict));
      if (more.steps.length) {
        box.append(el('h3', {}, 'Time line'), el('pre', {}, more.steps.join('\n')));
      }
      for (const message of more.messages) {
        box.append(el('h3', {}, message.name));
        if (message.headers.length) box.append(list(message.headers));
        if (message.bytes) box.append(el('pre', {}, message.bytes));
        if (message.more) box.append(el('p', { class: 'note' }, message.more));
      }
      if (more.left.length) box.append(el('p', { class: 'note' }, 'Not shown: ' + more.left.join('; ') + '.'));
    } else if (at !== undefined) {
      box.append(el('p', { class: 'note' }, 'Its headers and bytes are not in the page. ' + command.replace('UID', uid) + ' shows them.'));
    }
    const dialog = byId('call');
    if (!dialog.open) dialog.showModal();
    box.scrollTop = 0;
  };
  const dialog = byId('call');
  byId('close').addEventListener('click', () => dialog.close());
  dialog.addEventListener('click', (event) => { if (event.target === dialog) dialog.close(); });
  dialog.addEventListener('close', () => {
    if (!location.hash.startsWith('#call=')) return;
    // Viewers of mail may forbid it.
    try { history.replaceState(null, '', location.pathname + location.search); } catch { location.hash = ''; }
  });

  const open = (element) => {
    for (let at = element; at; at = at.parentElement) if (at.tagName === 'DETAILS') at.open = true;
    element.scrollIntoView();
  };
  const go = () => {
    const [, name, value] = /^#(\w+)=?(.*)$/s.exec(location.hash) || [];
    let word = value || '';
    try { word = decodeURIComponent(word); } catch { /* It is taken as it stands. */ }
    if (name === 'call') return show(word);
    if (dialog.open) dialog.close();
    if (name === 'q' || name === 'kind') {
      kind = name === 'kind' && groups[word] !== undefined ? Number(word) : -1;
      query.value = name === 'q' ? word : '';
      choose();
      byId('calls').scrollIntoView();
      return undefined;
    }
    const target = location.hash.startsWith('#chain-') && byId(location.hash.slice(1));
    return target ? open(target) : undefined;
  };
  query.addEventListener('input', choose);
  boxes.forEach((box) => box.addEventListener('change', choose));
  byId('kind-off').addEventListener('click', () => { kind = -1; choose(); });
  document.querySelector('form.controls').addEventListener('submit', (event) => event.preventDefault());
  const unfold = byId('unfold');
  if (unfold) {
    unfold.hidden = false;
    unfold.addEventListener('click', () => {
      const all = [...document.querySelectorAll('#chains details')];
      const closed = all.some((one) => !one.open);
      all.forEach((one) => { one.open = closed; });
      unfold.textContent = closed ? 'Fold all' : 'Unfold all';
    });
  }
  window.addEventListener('beforeprint', () => document.querySelectorAll('#chains details').forEach((one) => { one.open = true; }));
  window.addEventListener('resize', () => draw(false));
  window.addEventListener('hashchange', go);
  byId('table').hidden = false;
  heads();
  choose();
  go();
})();
