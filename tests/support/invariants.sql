-- What must be true of the books, whatever happened: each query yields what is wrong, nothing is the right answer. Read by
-- invariants.c (a daemon's tests look at its own schema) and invariants.py (the whole platform: end to end, chaos).
--
-- "-- @ NUMBER SCHEMAS WHEN TEXT" begins one. NUMBER is that of docs/proof.md; it is asked where all SCHEMAS are at hand;
-- WHEN: always (in any snapshot) or rest (when nothing is under way any more).

-- @ I1 inventory always on hand is the sum of its movements
SELECT s.variant_id, s.on_hand, m.sum FROM inventory.stock s
  LEFT JOIN (SELECT variant_id, sum(delta) FROM inventory.movement GROUP BY 1) m USING (variant_id)
 WHERE s.on_hand <> coalesce(m.sum, 0)

-- @ I1 inventory always reserved is the sum of the lines that are held, and never more than there is
SELECT s.variant_id, s.reserved, r.sum FROM inventory.stock s
  LEFT JOIN (SELECT l.variant_id, sum(l.qty) FROM inventory.reservation_line l
               JOIN inventory.reservation r ON r.id = l.reservation_id AND r.state = 'active' GROUP BY 1) r
    ON r.variant_id = s.variant_id
 WHERE s.reserved <> coalesce(r.sum, 0) OR s.reserved < 0 OR NOT s.backorder AND s.reserved > s.on_hand

-- @ I1 inventory always the places of an article add up
SELECT s.variant_id, s.on_hand, l.sum FROM inventory.stock s
  LEFT JOIN (SELECT variant_id, sum(on_hand) FROM inventory.level GROUP BY 1) l USING (variant_id)
 WHERE s.on_hand <> coalesce(l.sum, 0)

-- @ I2 inventory always what left the shelves belongs to sold reservations, unit by unit
SELECT coalesce(r.id, m.reservation_id) AS reservation, coalesce(r.variant_id, m.variant_id) AS variant, r.out, m.sold
  FROM (SELECT r.id, l.variant_id, (l.qty - l.restocked)::bigint AS out FROM inventory.reservation r
          JOIN inventory.reservation_line l ON l.reservation_id = r.id WHERE r.state = 'sold') r
  FULL JOIN (SELECT reservation_id, variant_id, -sum(delta) AS sold FROM inventory.movement
              WHERE kind IN ('sale', 'restock') AND reservation_id IS NOT NULL GROUP BY 1, 2) m
    ON m.reservation_id = r.id AND m.variant_id = r.variant_id
 WHERE coalesce(r.out, 0) <> coalesce(m.sold, 0)

-- @ I2 checkout,inventory rest what left the shelves is what was ordered, and what nobody ordered is back
SELECT coalesce(o.order_id, m.order_id) AS order_id, coalesce(o.variant_id, m.variant_id) AS variant_id, o.qty, m.sold, m.back
  FROM checkout.order_line o
  FULL JOIN (SELECT order_id, variant_id, -coalesce(sum(delta) FILTER (WHERE kind = 'sale'), 0) AS sold,
                    coalesce(sum(delta) FILTER (WHERE kind = 'restock'), 0) AS back
               FROM inventory.movement WHERE kind IN ('sale', 'restock') AND order_id IS NOT NULL GROUP BY 1, 2) m
    ON m.order_id = o.order_id AND m.variant_id = o.variant_id
 WHERE CASE WHEN o.order_id IS NULL THEN m.sold <> m.back ELSE o.qty IS DISTINCT FROM m.sold END

-- @ I3 checkout always an order has one payment, of its amount and currency
SELECT o.id FROM checkout.orders o
  LEFT JOIN checkout.payment p ON p.checkout_id = o.checkout_id AND p.currency = o.currency
   AND p.captured_minor = o.total_minor AND p.pi_id = o.payment_intent_id
 WHERE o.total_minor > 0 GROUP BY o.id HAVING count(p.id) <> 1

-- @ I3 checkout rest a payment has one order, or is given back whole
SELECT p.id, p.pi_id FROM checkout.payment p
  LEFT JOIN checkout.orders o ON o.checkout_id = p.checkout_id AND o.payment_intent_id = p.pi_id
 GROUP BY p.id, p.pi_id, p.captured_minor
HAVING count(o.id) > 1 OR count(o.id) = 0 AND p.captured_minor <> (SELECT coalesce(sum(r.amount_minor), 0)
       FROM checkout.refund r WHERE r.payment_id = p.id AND r.state = 'succeeded')

-- @ I3 checkout always an order's checkout says so, and no other does
SELECT o.id, c.state FROM checkout.orders o FULL JOIN checkout.checkout c ON c.id = o.checkout_id
 WHERE (o.id IS NOT NULL) IS DISTINCT FROM (c.state = 'ordered')

-- @ I4 checkout always no more is given back than was taken
SELECT p.id, p.captured_minor, p.refunding_minor FROM checkout.payment p
 WHERE p.refunding_minor > p.captured_minor OR p.refunding_minor <> (SELECT coalesce(sum(r.amount_minor), 0)
       FROM checkout.refund r WHERE r.payment_id = p.id AND r.state <> 'failed')

-- @ I4 checkout always an order knows what of it was given back
SELECT o.id, o.refunded_minor, o.payment_status FROM checkout.orders o
  LEFT JOIN (SELECT order_id, sum(amount_minor) AS back FROM checkout.refund WHERE state = 'succeeded' GROUP BY 1) r
    ON r.order_id = o.id
 WHERE o.refunded_minor <> coalesce(r.back, 0)

-- @ I4 checkout always vendors are owed their sales less commission less what was given back
SELECT v.id, v.due, l.booked
  FROM (SELECT o.id, o.vendor_id, o.total_minor - o.commission_minor - coalesce((
               SELECT sum(s.amount_minor - s.commission_minor) FROM checkout.refund_share s
                 JOIN checkout.refund r ON r.id = s.refund_id AND r.state = 'succeeded'
                WHERE s.vendor_order_id = o.id), 0) AS due FROM checkout.vendor_order o) v
  LEFT JOIN (SELECT vendor_order_id, sum(amount_minor) AS booked FROM checkout.ledger GROUP BY 1) l ON l.vendor_order_id = v.id
 WHERE v.due <> coalesce(l.booked, 0)

-- @ I5 checkout always one order for a checkout, an intent, a reservation
SELECT o.checkout_id FROM checkout.orders o GROUP BY 1 HAVING count(*) > 1
UNION ALL SELECT o.payment_intent_id FROM checkout.orders o WHERE o.payment_intent_id IS NOT NULL GROUP BY 1 HAVING count(*) > 1
UNION ALL SELECT o.reservation_key FROM checkout.orders o GROUP BY 1 HAVING count(*) > 1

-- @ I5 checkout always one live checkout of a cart
SELECT cart_id FROM checkout.checkout
 WHERE state NOT IN ('ordered', 'cancelled', 'expired', 'refunded', 'refund_due', 'refunding') GROUP BY 1 HAVING count(*) > 1

-- @ I5 checkout always an intent belongs to one attempt, an attempt to its checkout
SELECT a.checkout_id, a.n FROM checkout.payment_attempt a JOIN checkout.checkout c ON c.pi_id = a.pi_id
 WHERE c.id <> a.checkout_id

-- @ I6 checkout,inventory rest nothing is held for nobody
SELECT r.id, r.key, r.state, r.expires_at FROM inventory.reservation r
 WHERE r.state = 'active' AND NOT EXISTS (SELECT 1 FROM checkout.checkout c
       WHERE r.key LIKE c.id || '%' AND c.state NOT IN ('ordered', 'cancelled', 'expired', 'refunded'))

-- @ I7 checkout rest no checkout in the middle
SELECT id, state, why, tries, next_at FROM checkout.checkout
 WHERE state NOT IN ('ordered', 'cancelled', 'expired', 'refunded', 'payment_pending')

-- @ I7 checkout always whatever is not at its end is driven by the clock
SELECT id, state FROM checkout.checkout
 WHERE (next_at IS NULL) <> (state IN ('ordered', 'cancelled', 'expired', 'refunded'))

-- @ I11 checkout always an order is told of once, and nothing that is no order
SELECT coalesce(o.id, x.agg_id) AS order_id, x.n FROM checkout.orders o
  FULL JOIN (SELECT agg_id, count(*) AS n FROM checkout.outbox WHERE type = 'order.placed' GROUP BY 1) x ON x.agg_id = o.id
 WHERE o.id IS NULL OR coalesce(x.n, 0) <> 1

-- @ I11 identity rest no dead letters
SELECT source, type, error FROM identity.dead_letter

-- @ I11 catalog rest no dead letters
SELECT source, type, error FROM catalog.dead_letter

-- @ I11 inventory rest no dead letters
SELECT source, type, error FROM inventory.dead_letter

-- @ I11 cart rest no dead letters
SELECT source, type, error FROM cart.dead_letter

-- @ I11 checkout rest no dead letters
SELECT source, type, error FROM checkout.dead_letter

-- @ I11 search rest no dead letters
SELECT source, type, error FROM search.dead_letter

-- @ I11 reco rest no dead letters
SELECT source, type, error FROM reco.dead_letter

-- @ I11 notify rest no dead letters
SELECT source, type, error FROM notify.dead_letter

-- @ I11 checkout,cart rest an order is known to the cart it came from
SELECT o.event_id FROM checkout.outbox o WHERE o.type = 'order.placed' AND NOT EXISTS (
       SELECT 1 FROM cart.inbox i WHERE i.source = 'checkout' AND i.event_id = o.event_id)

-- @ I12 checkout always what was written is audited as it stands: orders
SELECT o.id, o.version, a.after ->> 'version' AS audited FROM checkout.orders o
  LEFT JOIN (SELECT DISTINCT ON (l.row_id) l.row_id, l.after FROM checkout.audit_log l WHERE l.table_name = 'orders'
              ORDER BY l.row_id, l.id DESC) a ON a.row_id = o.id
 WHERE (o.version::text, o.status, o.payment_status, o.refunded_minor::text) IS DISTINCT FROM
       (a.after ->> 'version', a.after ->> 'status', a.after ->> 'payment_status', a.after ->> 'refunded_minor')

-- @ I12 checkout always what was written is audited as it stands: payments
SELECT p.id FROM checkout.payment p
  LEFT JOIN (SELECT DISTINCT ON (l.row_id) l.row_id, l.after FROM checkout.audit_log l WHERE l.table_name = 'payment'
              ORDER BY l.row_id, l.id DESC) a ON a.row_id = p.id
 WHERE (p.captured_minor::text, p.refunding_minor::text) IS DISTINCT FROM (a.after ->> 'captured_minor', a.after ->> 'refunding_minor')

-- @ I12 checkout always what was written is audited as it stands: refunds
SELECT r.id FROM checkout.refund r
  LEFT JOIN (SELECT DISTINCT ON (l.row_id) l.row_id, l.after FROM checkout.audit_log l WHERE l.table_name = 'refund'
              ORDER BY l.row_id, l.id DESC) a ON a.row_id = r.id
 WHERE (r.version::text, r.state, r.amount_minor::text) IS DISTINCT FROM
       (a.after ->> 'version', a.after ->> 'state', a.after ->> 'amount_minor')

-- @ I12 checkout always what was written is audited as it stands: checkouts, their beginning and their end
SELECT c.id, c.state FROM checkout.checkout c
  LEFT JOIN (SELECT l.row_id, bool_or(l.action = 'insert') AS begun,
                    array_agg(l.after ->> 'state') FILTER (WHERE l.action = 'update') AS states
               FROM checkout.audit_log l WHERE l.table_name = 'checkout' GROUP BY 1) a ON a.row_id = c.id
 WHERE a.begun IS NOT TRUE OR c.next_at IS NULL AND (c.state = ANY (a.states)) IS NOT TRUE

-- @ I12 identity always the audit chain is whole
SELECT v FROM identity.audit_verify() v WHERE v IS NOT NULL

-- @ I12 catalog always the audit chain is whole
SELECT v FROM catalog.audit_verify() v WHERE v IS NOT NULL

-- @ I12 inventory always the audit chain is whole
SELECT v FROM inventory.audit_verify() v WHERE v IS NOT NULL

-- @ I12 cart always the audit chain is whole
SELECT v FROM cart.audit_verify() v WHERE v IS NOT NULL

-- @ I12 checkout always the audit chain is whole
SELECT v FROM checkout.audit_verify() v WHERE v IS NOT NULL

-- @ I12 search always the audit chain is whole
SELECT v FROM search.audit_verify() v WHERE v IS NOT NULL

-- @ I12 reco always the audit chain is whole
SELECT v FROM reco.audit_verify() v WHERE v IS NOT NULL

-- @ I12 notify always the audit chain is whole
SELECT v FROM notify.audit_verify() v WHERE v IS NOT NULL

-- @ I12 checkout always what is audited hides what is a person's
SELECT l.id, l.table_name FROM checkout.audit_log l
 WHERE coalesce(l.after ->> 'person', '***') <> '***' OR coalesce(l.before ->> 'person', '***') <> '***'
    OR coalesce(l.after ->> 'client_secret', '***') <> '***' OR coalesce(l.before ->> 'client_secret', '***') <> '***'

-- @ I14 checkout always the vendors' parts are the order
SELECT o.id FROM checkout.orders o
 WHERE o.subtotal_minor IS DISTINCT FROM (SELECT sum(l.subtotal_minor) FROM checkout.order_line l
       JOIN checkout.vendor_order v ON v.id = l.vendor_order_id AND v.order_id = o.id WHERE l.order_id = o.id)
    OR o.total_minor IS DISTINCT FROM (SELECT sum(v.total_minor) FROM checkout.vendor_order v WHERE v.order_id = o.id)

-- @ I15 identity always no refresh token belongs to two sessions, and a token is not its own successor
SELECT encode(token_hash, 'hex') FROM identity.session GROUP BY token_hash HAVING count(*) > 1
UNION ALL SELECT id FROM identity.session WHERE prev_hash = token_hash
UNION ALL SELECT s.id FROM identity.session s JOIN identity.session t ON t.token_hash = s.prev_hash

-- @ I15 identity always a session that rotated remembers what it came from
SELECT id, generation FROM identity.session WHERE (generation > 0) <> (prev_hash IS NOT NULL) OR (generation > 0) <> (rotated_at IS NOT NULL)

-- @ I16 checkout always promotions within their limits
SELECT p.id FROM checkout.promotion p WHERE p.uses > coalesce(p.max_uses, p.uses) OR p.uses <>
       (SELECT count(*) FROM checkout.redemption r WHERE r.promotion_id = p.id AND r.state <> 'released')

-- @ I16 checkout always what is paid is what was frozen
SELECT o.id FROM checkout.orders o JOIN checkout.checkout c ON c.id = o.checkout_id
 WHERE (o.total_minor, o.currency) <> (c.total_minor, c.currency)
