// A plot of CPU per message against connections as SVG: without the agent, and with it.
const WIDTH = 720;
const HEIGHT = 320;
const LEFT = 70;
const BOTTOM = 50;
const TOP = 60;
const COLOURS = { bare: '#2471a3', control: '#999999', agent: '#c0392b' };
const LABELS = { bare: 'without the agent', control: 'without, again', agent: 'with the agent' };
const DASHES = { echo: '', broadcast: ' stroke-dasharray="6 4"' };

export function plotCost(points) {
  const workloads = Object.keys(DASHES).filter((workload) => workload in points[0]);
  const costs = points.flatMap((point) =>
    workloads.flatMap((workload) =>
      Object.values(point[workload]).map(({ cpuUsPerMessage }) => cpuUsPerMessage),
    ),
  );
  const maxUs = Math.ceil(Math.max(...costs) / 10) * 10;
  const logs = points.map(({ connections }) => Math.log(connections));
  const x = (connections) =>
    (LEFT + ((WIDTH - LEFT - 30) * (Math.log(connections) - logs[0])) / (logs.at(-1) - logs[0] || 1)).toFixed(
      1,
    );
  const y = (us) => (HEIGHT - BOTTOM - ((HEIGHT - BOTTOM - TOP) * us) / maxUs).toFixed(1);
  const lines = workloads.flatMap((workload) =>
    Object.keys(COLOURS).map((mode) => {
      const path = points.map(
        (point) => `${x(point.connections)},${y(point[workload][mode].cpuUsPerMessage)}`,
      );
      return `<polyline points="${path.join(' ')}" fill="none" stroke="${COLOURS[mode]}" stroke-width="2"${DASHES[workload]}/>`;
    }),
  );
  const legend = Object.keys(COLOURS).map(
    (mode, index) => `<text x="${LEFT + index * 150}" y="40" fill="${COLOURS[mode]}">${LABELS[mode]}</text>`,
  );
  const grid = [0, 0.25, 0.5, 0.75, 1].map(
    (share) =>
      `<line x1="${LEFT}" x2="${WIDTH - 30}" y1="${y(maxUs * share)}" y2="${y(maxUs * share)}" stroke="#ddd"/>` +
      `<text x="${LEFT - 8}" y="${Number(y(maxUs * share)) + 4}" text-anchor="end">${(maxUs * share).toFixed(0)} us</text>`,
  );
  const ticks = points.map(
    ({ connections }) =>
      `<text x="${x(connections)}" y="${HEIGHT - 28}" text-anchor="middle">${connections.toLocaleString('en')}</text>`,
  );
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="12">
<rect width="${WIDTH}" height="${HEIGHT}" fill="#fff"/>
<text x="${LEFT}" y="20" font-size="14">CPU per message against open connections (line: echo, dashes: broadcast)</text>
${[...legend, ...grid, ...ticks, ...lines].join('\n')}
<text x="${WIDTH / 2}" y="${HEIGHT - 8}" text-anchor="middle">connections</text>
</svg>
`;
}
