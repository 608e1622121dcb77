// Compiles the standard JSON of stdin and lets z3, whose path is the one argument, answer the SMTChecker's queries. deploy/solc has no
// solver. Prints {errors, asked, unsolved}.
const { execFileSync } = require("child_process");
const fs = require("fs");
const solc = require("solc");

const z3 = process.argv[2];
let asked = 0;
let unsolved = 0;

function smtSolver(query) {
  asked += 1;
  let answer;
  try {
    answer = execFileSync(z3, ["-in", "-smt2", "rlimit=100000000"], { input: query, encoding: "utf8", stdio: "pipe" });
  } catch (error) {
    // z3 fails when asked for the model of what it refuted.
    answer = error.stdout.toString();
  }
  if (!/^(sat|unsat)/.test(answer)) unsolved += 1;
  return { contents: answer };
}

const output = JSON.parse(solc.compile(fs.readFileSync(0, "utf8"), { smtSolver }));
console.log(JSON.stringify({ errors: output.errors ?? [], asked, unsolved }));
