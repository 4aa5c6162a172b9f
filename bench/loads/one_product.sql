\set buyer random(1, 10000)
SELECT place_order(:buyer, 1, 1);
