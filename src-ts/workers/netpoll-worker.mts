/** ES module entry of `netpoll/worker`: what a worker thread runs, for bundles. */
import './netpoll-worker.js'
