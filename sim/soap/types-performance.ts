// The data types of performance counters and of what is asked of them.
// Facts of the vSphere Web Services API reference; the notation is schema.ts's.

export const PERFORMANCE_TYPES = `
PerformanceDescription(DynamicData) counterType:ElementDescription[] statsType:ElementDescription[]
PerfInterval(DynamicData) key:int samplingPeriod:int name:string length:int level:int? enabled:boolean
PerfCounterInfo(DynamicData) key:int nameInfo:ElementDescription groupInfo:ElementDescription
  unitInfo:ElementDescription rollupType:PerfSummaryType statsType:PerfStatsType level:int? perDeviceLevel:int?
  associatedCounterId:int[]?
PerfProviderSummary(DynamicData) entity:@ManagedObject currentSupported:boolean summarySupported:boolean
  refreshRate:int?
PerfMetricId(DynamicData) counterId:int instance:string
PerfQuerySpec(DynamicData) entity:@ManagedObject startTime:dateTime? endTime:dateTime? maxSample:int?
  metricId:PerfMetricId[]? intervalId:int? format:string?
PerfSampleInfo(DynamicData) timestamp:dateTime interval:int
PerfMetricSeries(DynamicData) id:PerfMetricId
PerfMetricIntSeries(PerfMetricSeries) value:long[]?
PerfEntityMetricBase(DynamicData) entity:@ManagedObject
PerfEntityMetric(PerfEntityMetricBase) sampleInfo:PerfSampleInfo[]? value:PerfMetricSeries[]?
`
