// A function of the runtime `wasi-lambda`: what it exports is said in crates/compute/wasm/wit/function.wit.
let calls = 0;

export const handler = {
  handle(event, context) {
    const { name } = JSON.parse(event);
    if (typeof name !== 'string') {
      // What is thrown with such a payload is the function's own error; anything else ends its instance.
      throw { payload: { errorType: 'BadEvent', errorMessage: 'expected a name' } };
    }
    calls += 1;
    console.log(`greeting ${name} for ${context.requestId}`);
    return JSON.stringify({ greeting: `Hello, ${name}!`, calls });
  },
};
