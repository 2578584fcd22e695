// The same kind of attempts from Node.js, whose own ways to the host are others: its bindings, workers and inspector.
import childProcess from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';

const refused = (work) => {
  try {
    return `succeeded: ${work()}`;
  } catch (error) {
    return error.code ?? String(error);
  }
};

const dial = (options) =>
  new Promise((resolve) => {
    const socket = net.connect(options, () => resolve('succeeded'));
    socket.on('error', (error) => resolve(error.code));
    socket.setTimeout(2000, () => resolve('silence'));
  });

// The message of a program that failed; its own words tell the errno.
const run = (program, ...words) => {
  const { status, stderr, error } = childProcess.spawnSync(program, words, { encoding: 'utf8' });
  if (error) return error.code;
  return status === 0 ? 'succeeded' : stderr.trim().split(': ').pop();
};

export const handler = async (event) => ({
  'read shadow': refused(() => fs.readFileSync('/etc/shadow')),
  'read the secret': refused(() => fs.readFileSync(event.secret)),
  'list the data': refused(() => fs.readdirSync(event.data)),
  'write its bootstrap': refused(() => fs.writeFileSync('/var/rapid/bootstrap.cjs', '')),
  'write its code': refused(() => fs.writeFileSync('/var/task/x', '')),
  'become root': refused(() => process.setuid(0)),
  'kill process 1': refused(() => process.kill(1, 'SIGKILL')),
  'kill the daemon': refused(() => process.kill(event.pid, 'SIGKILL')),
  'debug process 1': refused(() => process._debugProcess(1)),
  'raise its priority': refused(() => os.setPriority(0, -10)),
  'debug the daemon': refused(() => process._debugProcess(event.pid)),
  'the host by loopback': await dial({ host: '127.0.0.1', port: event.port }),
  'an abstract socket': await dial({ path: `\0${event.name}` }),
  metadata: await dial({ host: '169.254.169.254', port: 80 }),
  unshare: run('unshare', '--user', 'true'),
  mount: run('mount', '-t', 'tmpfs', 'none', '/tmp'),
  processes: fs.readdirSync('/proc').filter((name) => /^\d+$/.test(name)).length <= 2 ? 'none but its own' : 'more',
});
