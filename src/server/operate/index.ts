// What whoever runs a node asks it: its metrics, and whether it is ready. Changes nothing.

export { countFailures, FailureCount } from "./failure-count.ts";
export { createMetrics, type Metrics, type MetricsSources } from "./metrics.ts";
export { Readiness, type ReadinessOptions } from "./readiness.ts";
