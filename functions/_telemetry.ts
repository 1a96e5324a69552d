// The library's log and metrics, as Powertools writes them for CloudWatch.

import { Logger } from '@aws-lambda-powertools/logger'
import { Metrics, MetricUnit } from '@aws-lambda-powertools/metrics'
import type { Facts } from '../lib/base/errors.ts'
import type { LambdaFrame } from '../lib/compose/lambda.ts'
import type { Log } from '../lib/ports/log.ts'

const product = 'coldframe'

export type Telemetry = LambdaFrame & { readonly logger: Logger }

/** One a function, made when its module loads. */
export function openTelemetry(functionName: string): Telemetry {
  const logger = new Logger({ serviceName: product, persistentKeys: { stage: functionName } })
  const powertoolsMetrics = new Metrics({ namespace: 'Coldframe', serviceName: product })
  return {
    logger,
    environment: process.env,
    log: logOn(logger),
    metrics: {
      count: (name, value, dimensions = {}) => {
        const metric = powertoolsMetrics.singleMetric()
        for (const [dimension, text] of Object.entries(dimensions)) metric.addDimension(dimension, text)
        metric.addMetric(name, MetricUnit.Count, value)
      },
    },
  }
}

function logOn(logger: Logger): Log {
  return {
    with: (facts) => logOn(logger.createChild({ persistentKeys: { ...facts } })),
    info: (event, facts) => logger.info(event, attributes(facts)),
    warn: (event, facts) => logger.warn(event, attributes(facts)),
    error: (event, error, facts) =>
      logger.error(event, { ...attributes(facts), error: error instanceof Error ? error : String(error) }),
  }
}

function attributes(facts: Facts = {}): Record<string, unknown> {
  return { ...facts }
}
