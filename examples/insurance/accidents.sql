-- Each policy with the accidents that were reported in its area in the year before it began: as of its start, so nothing
-- that was not known then. The running count of an area at one moment less that of a year before.
WITH counted AS (
  SELECT area, happened,
         count(*) OVER (PARTITION BY area ORDER BY happened ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS n
  FROM 'data/raw/accidents.csv'
)
SELECT p.policy_id, p.area, strftime(p.start, '%Y-%m-%dT%H:%M:%SZ') AS start, p.exposure, p.driver_age, p.vehicle_age,
       p.power, p.annual_km, round(ln(1 + coalesce(until_start.n, 0) - coalesce(year_before.n, 0)), 6) AS log_accidents,
       p.claims
FROM 'data/raw/policies.csv' p
ASOF LEFT JOIN counted until_start ON p.area = until_start.area AND p.start > until_start.happened
ASOF LEFT JOIN counted year_before ON p.area = year_before.area AND p.start - INTERVAL 365 DAY > year_before.happened
ORDER BY p.policy_id
