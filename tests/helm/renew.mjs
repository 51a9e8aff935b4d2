// Renews what is made of the chart: the table in its README, and the golden files.
import fs from 'node:fs';
import path from 'node:path';
import { CHART, goldenFile, goldenText, VALUES, yaml } from './chart.mjs';
import { describedValues, readmeWith, valuesText, writeReadme } from './readme.mjs';

writeReadme(readmeWith(describedValues(valuesText(), await yaml(path.join(CHART, 'values.yaml')))));
for (const name of VALUES) fs.writeFileSync(goldenFile(name), await goldenText(name));
