\set buyer random(1, 10000)
\set first random(1, 1000)
\set second (:first + random(1, 999) - 1) % 1000 + 1
SELECT place_order(:buyer, :first, :second);
