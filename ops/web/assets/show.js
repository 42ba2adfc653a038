'use strict';

// Shows the report that is in this file.

const report = document.getElementById('report');
report.replaceChildren();
reel.fill(report, null, reel.report(reel.parse(document.getElementById('data').textContent)));
