-- An order and a claim decided inside PostgreSQL: one call and one transaction each. Rows are locked in a fixed order.
CREATE FUNCTION place_order(buyer BIGINT, product_ids BIGINT[], quantities BIGINT[]) RETURNS BIGINT
LANGUAGE plpgsql AS $$
DECLARE
    funds BIGINT;
    line RECORD;
    found_lines BIGINT := 0;
    total_due BIGINT := 0;
    new_order BIGINT;
BEGIN
    SELECT balance INTO funds FROM users WHERE id = buyer FOR NO KEY UPDATE;
    IF NOT FOUND THEN RAISE EXCEPTION 'no such user'; END IF;
    new_order := nextval(pg_get_serial_sequence('orders', 'id'));
    INSERT INTO orders (id, user_id, total) VALUES (new_order, buyer, 0);
    FOR line IN
        SELECT products.id, price, stock, wanted.quantity, wanted.position
        FROM products
        JOIN unnest(product_ids, quantities) WITH ORDINALITY AS wanted (product_id, quantity, position)
            ON wanted.product_id = products.id
        ORDER BY products.id FOR NO KEY UPDATE OF products
    LOOP
        IF line.stock < line.quantity THEN RAISE EXCEPTION 'out of stock'; END IF;
        UPDATE products SET stock = stock - line.quantity WHERE id = line.id;
        INSERT INTO order_lines VALUES (new_order, line.position - 1, line.id, line.quantity, line.price);
        found_lines := found_lines + 1;
        total_due := total_due + line.quantity * line.price;
    END LOOP;
    IF found_lines < cardinality(product_ids) THEN RAISE EXCEPTION 'no such product'; END IF;
    IF funds < total_due THEN RAISE EXCEPTION 'insufficient balance'; END IF;
    UPDATE users SET balance = balance - total_due WHERE id = buyer;
    UPDATE orders SET total = total_due WHERE id = new_order;
    INSERT INTO ledger (user_id, amount, balance_after, order_id)
        VALUES (buyer, -total_due, funds - total_due, new_order);
    INSERT INTO outbox (order_id, event) VALUES (
        new_order,
        json_build_object('type', 'order.paid', 'orderId', new_order, 'userId', buyer, 'total', total_due)::TEXT
    );
    RETURN new_order;
END $$;

CREATE FUNCTION claim_coupon(campaign BIGINT, claimant BIGINT) RETURNS BIGINT
LANGUAGE plpgsql AS $$
DECLARE
    new_coupon BIGINT;
BEGIN
    -- The campaign's row, which everyone wants, is locked last and so for the shortest time.
    INSERT INTO coupons (campaign_id, user_id) VALUES (campaign, claimant)
        ON CONFLICT DO NOTHING RETURNING id INTO new_coupon;
    IF NOT FOUND THEN RAISE EXCEPTION 'already claimed'; END IF;
    UPDATE campaigns SET issued = issued + 1 WHERE id = campaign AND issued < quantity;
    IF NOT FOUND THEN RAISE EXCEPTION 'sold out'; END IF;
    RETURN new_coupon;
END $$;
