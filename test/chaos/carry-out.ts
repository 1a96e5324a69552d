// Run number K of a seed: in memory with every call struck at will, or, one in twenty, over SOAP.

import { planOf } from './plan.ts'
import { carryOut, type RunResult } from './run.ts'
import { soapPlanOf } from './soap-plan.ts'
import { carryOutSoap, type SoapResult } from './soap-run.ts'

export type AnyResult = RunResult | SoapResult

const SOAP_EVERY = 20

export function isSoap(run: number): boolean {
  return run % SOAP_EVERY === SOAP_EVERY - 1
}

export async function carryOutRun(which: { readonly seed: number; readonly run: number }): Promise<AnyResult> {
  return isSoap(which.run) ? await carryOutSoap(soapPlanOf(which)) : await carryOut(planOf(which))
}
