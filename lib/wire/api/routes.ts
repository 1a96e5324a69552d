// Every route of the HTTP API: one table, from which requests are told apart, checked and answered, and the document is made.

import type * as z from 'zod'
import {
  alarmDocument,
  jobDocument,
  operationDocument,
  pageOf,
  pointDocument,
  policyDocument,
  policyTextDocument,
  runDocument,
} from './documents.ts'
import {
  jobsQuery,
  noQuery,
  nothing,
  pageQuery,
  pointsQuery,
  startRestore,
  startRun,
  startVerification,
} from './requests.ts'

/** What a caller may do. Each is given by itself: who may start backups may not therefore restore. */
export const SCOPES = ['read', 'backup', 'restore', 'apply'] as const
export type Scope = (typeof SCOPES)[number]

export type Route = {
  readonly method: 'GET' | 'POST'
  /** A part in braces is a parameter. */
  readonly path: string
  /** Null: nothing is told that is not public. */
  readonly scope: Scope
  readonly summary: string
  readonly query: z.ZodType
  /** Null: the request has no body. */
  readonly body: z.ZodType | null
  readonly status: 200 | 202
  /** Null: the document that describes the API itself. */
  readonly answer: z.ZodType | null
  /** Whether an Idempotency-Key is heeded. */
  readonly idempotent?: true
}

const get = { method: 'GET', scope: 'read', query: noQuery, body: null, status: 200 } as const
const post = { method: 'POST', query: noQuery, status: 202 } as const

export const ROUTES = {
  startRun: {
    ...post,
    path: '/v1/runs',
    scope: 'backup',
    summary: 'Start a backup',
    body: startRun,
    answer: runDocument,
    idempotent: true,
  },
  listRuns: { ...get, path: '/v1/runs', summary: 'Runs, newest first', query: pageQuery, answer: pageOf(runDocument) },
  getRun: { ...get, path: '/v1/runs/{id}', summary: 'How far a run has come', answer: runDocument },
  cancelRun: {
    ...post,
    path: '/v1/runs/{id}/cancel',
    scope: 'backup',
    summary: 'Cancel what is left of a run',
    body: nothing,
    answer: runDocument,
  },
  listJobs: { ...get, path: '/v1/jobs', summary: 'Jobs, newest first', query: jobsQuery, answer: pageOf(jobDocument) },
  getJob: { ...get, path: '/v1/jobs/{id}', summary: 'How far a job has come', answer: jobDocument },
  cancelJob: {
    ...post,
    path: '/v1/jobs/{id}/cancel',
    scope: 'backup',
    summary: 'Cancel a job',
    body: nothing,
    answer: jobDocument,
  },
  listPoints: {
    ...get,
    path: '/v1/points',
    summary: 'Restore points, newest first',
    query: pointsQuery,
    answer: pageOf(pointDocument),
  },
  startRestore: {
    ...post,
    path: '/v1/restores',
    scope: 'restore',
    summary: 'Write disks of a restore point into a bucket',
    body: startRestore,
    answer: operationDocument,
    idempotent: true,
  },
  listRestores: {
    ...get,
    path: '/v1/restores',
    summary: 'Restores, newest first',
    query: pageQuery,
    answer: pageOf(operationDocument),
  },
  getRestore: { ...get, path: '/v1/restores/{id}', summary: 'How far a restore has come', answer: operationDocument },
  cancelRestore: {
    ...post,
    path: '/v1/restores/{id}/cancel',
    scope: 'restore',
    summary: 'Cancel a restore',
    body: nothing,
    answer: operationDocument,
  },
  startVerification: {
    ...post,
    path: '/v1/verifications',
    scope: 'restore',
    summary: 'Read and authenticate what restore points reach',
    body: startVerification,
    answer: operationDocument,
    idempotent: true,
  },
  listVerifications: {
    ...get,
    path: '/v1/verifications',
    summary: 'Checks, newest first',
    query: pageQuery,
    answer: pageOf(operationDocument),
  },
  getVerification: {
    ...get,
    path: '/v1/verifications/{id}',
    summary: 'How far a check has come',
    answer: operationDocument,
  },
  cancelVerification: {
    ...post,
    path: '/v1/verifications/{id}/cancel',
    scope: 'restore',
    summary: 'Cancel a check',
    body: nothing,
    answer: operationDocument,
  },
  listPolicies: {
    ...get,
    path: '/v1/policies',
    summary: 'Policies by name, removed ones, too',
    answer: pageOf(policyDocument),
  },
  getPolicy: { ...get, path: '/v1/policies/{name}', summary: 'A policy and its text', answer: policyTextDocument },
  listAlarms: {
    ...get,
    path: '/v1/alarms',
    summary: 'Alarms and what was decided, newest first',
    query: pageQuery,
    answer: pageOf(alarmDocument),
  },
  getOpenApi: { ...get, path: '/v1/openapi.json', summary: 'This document', answer: null },
} as const satisfies Readonly<Record<string, Route>>

export type RouteName = keyof typeof ROUTES
