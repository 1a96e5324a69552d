// A plugin of the Serverless Framework: bundles before it packages, so that "npx serverless package" and "deploy" take what the sources say
// now. Plain CommonJS: the framework loads it by whatever Node it runs on.

const { spawnSync } = require('node:child_process')
const { join } = require('node:path')

module.exports = class BundlePlugin {
  hooks = { 'before:package:initialize': bundle }
}

/** COLDFRAME_BUNDLES=made: whoever calls has made them. */
function bundle() {
  if (process.env['COLDFRAME_BUNDLES'] === 'made') return
  const { status } = spawnSync(process.execPath, [join(__dirname, 'bundle.ts')], { stdio: ['ignore', 2, 2] })
  if (status !== 0) throw new Error(`Cannot package: bundling failed with exit code ${status}; its own words are above`)
}
