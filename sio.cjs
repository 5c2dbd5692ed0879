const { createServer } = require('node:http'); const { Server } = require('socket.io'); const { io: cio } = require('socket.io-client');
const { drain } = require('./dist/remedy/index.js');
const server = createServer(); const io = new Server(server);
server.listen(0, async () => {
  for (const t of ['polling']) { const s = cio('http://127.0.0.1:'+server.address().port, { transports:[t], reconnection:false, forceNew: true }); await new Promise(r=>s.once('connect', r)); s.on('SERVER_SHUTDOWN', h=>console.log(t,h)); s.on('disconnect', (r, d)=>console.log(t,'disconnect',r, d)); }
  console.log(await drain(io, {deadlineMs:2000}));
});
