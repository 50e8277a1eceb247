// Reads vitest's JSON report and prints `PASSED FAILED` for .ci/run. A skipped test counts as failed: there are none.

import { readFileSync } from "node:fs";

const [file = "", exitStatus = "1"] = process.argv.slice(2);

/** @returns {{ passed: number, failed: number }} */
function count() {
  try {
    const report = JSON.parse(readFileSync(file, "utf8"));
    let failed = report.numTotalTests - report.numPassedTests;
    // A file that did not load has no tests in it that could fail.
    for (const result of report.testResults) {
      if (result.status === "failed" && result.assertionResults.length === 0) failed += 1;
    }
    return { passed: report.numPassedTests, failed };
  } catch {
    return { passed: 0, failed: 1 };
  }
}

const { passed, failed } = count();
// An error outside any test fails the run and no test.
console.log(passed, failed === 0 && exitStatus !== "0" ? 1 : failed);
