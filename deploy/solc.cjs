// See ./solc, which finds node for this. process.exit would truncate a pipe, hence the writeSync loop.
const fs = require("fs");

function print(text) {
  const bytes = Buffer.from(text);
  for (let written = 0; written < bytes.length; ) {
    try {
      written += fs.writeSync(1, bytes, written);
    } catch (error) {
      if (error.code !== "EAGAIN") throw error;
    }
  }
}

const solc = require("solc");
const options = process.argv.slice(2);
if (options.includes("--version")) {
  print(`solc, the solidity compiler commandline interface\nVersion: ${solc.version()}\n`);
} else if (options.includes("--standard-json")) {
  print(solc.compile(fs.readFileSync(0, "utf8")));
} else {
  console.error(`Unknown options "${options.join(" ")}": this answers --version and --standard-json.`);
  process.exitCode = 1;
}
