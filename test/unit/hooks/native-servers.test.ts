import { NativeServers } from '../../../src/hooks/connections/native-servers.ts';

const ADDON = '/srv/node_modules/uWebSockets.js/uws_linux_x64_115.node';

test.each([
  [[ADDON], true],
  [['C:\\srv\\dist\\uws_win32_x64_137.node'], true],
  [['/srv/node_modules/ws/index.js', '/srv/uws_notes.js', '/srv/my-uws.node'], false],
])('loaded %j', (files, isFound) => {
  const servers = new NativeServers(() => files);
  expect(servers.blind().map(({ what }) => what)).toEqual(isFound ? ['connections of uWebSockets.js'] : []);
});

test('an addon that is loaded late is found, and the list of loaded files is not read for ever', () => {
  let files: string[] = [];
  let reads = 0;
  const servers = new NativeServers(() => {
    reads += 1;
    return files;
  });
  expect(servers.blind()).toEqual([]);
  files = [ADDON];
  expect(servers.blind()).toHaveLength(1);
  expect(servers.blind()).toHaveLength(1);
  expect(reads).toBe(2);
  const without = new NativeServers(() => {
    reads += 1;
    return [];
  });
  for (let i = 0; i < 100; i += 1) without.blind();
  expect(reads).toBe(22);
});
